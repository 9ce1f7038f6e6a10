/** `true` where `A` and `B` are the same type, in both directions and with the same modifiers. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Compiles only for `true`: `assert<Equal<A, B>>()`. */
export declare function assert<T extends true>(): T

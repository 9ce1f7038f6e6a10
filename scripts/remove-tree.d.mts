export declare function removeTree(path: string): void

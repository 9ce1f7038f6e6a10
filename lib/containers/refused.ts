import { Process } from './process.ts'

/** The process that `make` makes. Where its command or options are refused, one that rejects with that, as one does whose start fails. */
export function processOf<Text extends string | Buffer>(make: () => Process<Text>): Process<Text> {
  try {
    return make()
  } catch (error) {
    return new Process<Text>([], {}, () => {
      throw error
    })
  }
}

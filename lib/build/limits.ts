/** Steps that may go into one image, those of what it starts from among them: each is an entry of its history, and no reader takes more of them. */
export const mostEntries = 10_000

/** Steps of one build, with all that it takes from. */
export const mostSteps = 100_000

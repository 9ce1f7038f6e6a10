const clause = /^([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)$/
const action = /([-+=])([ugo]|[rwxXst]*)/g
const shifts = { u: 6, g: 3, o: 0 } as const
type Who = keyof typeof shifts

/** Whether a text is a mode as chmod(1) has it in symbols: `u=rwX,go=rX`, `+x`, `g-w`. */
export function isSymbolicMode(text: string): boolean {
  return text !== '' && text.split(',').every((each) => clause.test(each))
}

function isWho(letter: string): letter is Who {
  return letter in shifts
}

/** The bits that `permissions` stands for, for those in `who`. */
function bitsOf(permissions: string, who: readonly Who[], all: boolean, mode: number, isDirectory: boolean): number {
  let bits = 0
  for (const each of who) {
    const shift = shifts[each]
    let three = 0
    for (const letter of permissions) {
      if (letter === 'r') three |= 4
      else if (letter === 'w') three |= 2
      else if (letter === 'x' || (letter === 'X' && (isDirectory || (mode & 0o111) !== 0))) three |= 1
      else if (isWho(letter)) three |= (mode >> shifts[letter]) & 7
    }
    bits |= three << shift
    if (permissions.includes('s') && each === 'u') bits |= 0o4000
    if (permissions.includes('s') && each === 'g') bits |= 0o2000
  }
  return permissions.includes('t') && (all || who.includes('o')) ? bits | 0o1000 : bits
}

function applyClause(text: string, mode: number, isDirectory: boolean): number {
  const [, letters = '', actions = ''] = clause.exec(text) ?? []
  const all = letters === '' || letters.includes('a')
  const who: readonly Who[] = all ? ['u', 'g', 'o'] : [...letters].filter(isWho)
  let result = mode
  for (const [, operator, permissions = ''] of actions.matchAll(action)) {
    const bits = bitsOf(permissions, who, all, result, isDirectory)
    if (operator === '+') result |= bits
    else if (operator === '-') result &= ~bits
    else {
      const cleared = who.reduce((sum, each) => sum | (7 << shifts[each]) | (each === 'u' ? 0o4000 : each === 'g' ? 0o2000 : 0), 0)
      result = (result & ~cleared & ~(all ? 0o1000 : 0)) | bits
    }
  }
  return result
}

/**
 * What `chmod` makes of a file's mode: a number takes its place; symbols change it (chmod(1); the umask, which a build does not have,
 * plays no part).
 */
export function applyMode(chmod: number | string, mode: number, isDirectory: boolean): number {
  if (typeof chmod === 'number') return chmod
  return chmod.split(',').reduce((result, text) => applyClause(text, result, isDirectory), mode)
}

/** A word that no line of the content is, to end a heredoc with. */
export function terminator(content: string, wanted = 'EOF'): string {
  const lines = new Set(content.split('\n').map((line) => line.replace(/\r+$/, '')))
  for (let number = 0; ; number += 1) {
    const name = number === 0 ? wanted : `${wanted}${number}`
    if (!lines.has(name)) return name
  }
}

/** What stands between an instruction and the end of its heredoc; a last line without an end gets one. */
export function heredocBody(content: string, name: string): string {
  return `\n${content}${content === '' || content.endsWith('\n') ? '' : '\n'}${name}`
}

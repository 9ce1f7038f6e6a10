// As strake.mjs, with the machine's own dynamically linked `true` in an image of from('host').
export default {
  name: "strake exec, host's true",
  what: "image().from('host'): the dynamic loader is part of it",
  async prepare({ hostImage }) {
    return async () => {
      const begin = performance.now()
      const { exitCode } = await hostImage.exec(['true'])
      const took = performance.now() - begin
      if (exitCode !== 0) throw new Error(`true ended with ${exitCode}`)
      return took
    }
  },
}

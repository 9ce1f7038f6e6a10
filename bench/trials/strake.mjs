// This library: a full default container of an image, in process.
export default {
  name: 'strake exec',
  what: 'image.exec(["true"]), full default container',
  async prepare({ image }) {
    return async () => {
      const begin = performance.now()
      const { exitCode } = await image.exec(['/bin/true'])
      const took = performance.now() - begin
      if (exitCode !== 0) throw new Error(`true ended with ${exitCode}`)
      return took
    }
  },
}

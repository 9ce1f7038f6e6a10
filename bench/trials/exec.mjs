// One more command in a container that runs.
export default {
  name: 'strake exec in a running container',
  what: 'container.exec(["true"])',
  async prepare({ image, atEnd }) {
    const container = await image.start({ cmd: ['/bin/pause'] })
    atEnd(() => container.remove())
    return async () => {
      const begin = performance.now()
      const { exitCode } = await container.exec(['/bin/true'])
      const took = performance.now() - begin
      if (exitCode !== 0) throw new Error(`true ended with ${exitCode}`)
      return took
    }
  },
}

import { StrakeError } from '../errors/index.ts'
import { type ContainerUser, type IdMap, lookUpUser } from '../ids/index.ts'
import type { ImageData } from '../images/index.ts'
import { planOf } from '../process/index.ts'
import type { Plan } from '../sys/index.ts'
import { checkOptions, checkPlanOptions } from './check.ts'
import { layerPaths } from './launch.ts'
import type { StartOptions } from './options.ts'
import { argvOf, checkHostname, commandOf, commandSpec, containerSpec, usersOf } from './settings.ts'

const exampleId = 'example'
const usualIds: IdMap = [{ inside: 0, outside: 100_000, count: 65_536 }]
const exampleIds = { uidMap: usualIds, gidMap: usualIds }

/** A user by its number; a name is only known with the image unpacked, and stands as nobody's number. */
function userFor(user: string | number | undefined): ContainerUser {
  try {
    const found = lookUpUser(user, undefined, undefined)
    return found.uid === 0 && (user === undefined || user === '' || user === 'root') ? { ...found, home: '/root' } : found
  } catch (error) {
    if (error instanceof StrakeError && error.code === 'user_not_found')
      return user === 'root'
        ? { uid: 0, gid: 0, groups: [0], home: '/root' }
        : { uid: 65_534, gid: 65_534, groups: [65_534], home: '/', name: String(user) }
    throw error
  }
}

/**
 * The program that `start` would have carried out, for a container named `example`. Nothing is read or run: the same
 * image and options give the same plan. A user's name stands as 65534, since only the image's files tell its number.
 */
export function imagePlan(
  image: Pick<ImageData, 'config' | 'layers'>,
  options: StartOptions & { readonly argv?: readonly string[] | undefined } = {},
): Plan {
  checkPlanOptions(options)
  checkOptions(options)
  const argv = options.argv ? argvOf(options.argv) : planCommand(image, options)
  const hostname = checkHostname(options.hostname ?? exampleId)
  const command = commandSpec(argv, options, { config: image.config, user: userFor(options.user ?? image.config.User), hostname })
  return planOf(
    containerSpec(options, {
      zygotePath: `/store/containers/${exampleId}`,
      layers: layerPaths(image.layers.map(({ chainId }) => chainId)),
      hostname,
      volatile: true,
      ids: 'subid',
      users: usersOf(options.userns, exampleIds, undefined),
      cgroups: 0,
      command,
      config: image.config,
    }),
  )
}

/** An image without a command is shown with a shell. */
function planCommand(image: Pick<ImageData, 'config'>, options: StartOptions): readonly string[] {
  const { config } = image
  if (options.cmd === undefined && options.entrypoint === undefined && !config.Cmd && !config.Entrypoint) return ['/bin/sh']
  return commandOf(config, options)
}

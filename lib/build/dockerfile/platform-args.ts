import { formatPlatform, hostPlatform, type Platform } from '../../images/index.ts'

function named(prefix: string, platform: Platform): [string, string][] {
  return [
    [`${prefix}PLATFORM`, formatPlatform(platform)],
    [`${prefix}OS`, platform.os],
    [`${prefix}OSVERSION`, ''],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ''],
  ]
}

/** What BuildKit sets before all other arguments ("Automatic platform ARGs in the global scope"): a stage sees it once ARG names it. */
export function platformArguments(target: Platform, stage: string): Map<string, string> {
  return new Map([...named('BUILD', hostPlatform), ...named('TARGET', target), ['TARGETSTAGE', stage]])
}

/** Proxies that need no ARG, in capitals and in small letters whichever was given, as BuildKit has them for RUN. */
export function proxyArguments(args: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries(
    [...args]
      .filter(([name]) => /^(http|https|ftp|no|all)_proxy$/i.test(name))
      .flatMap(([name, value]) => [
        [name.toUpperCase(), value],
        [name.toLowerCase(), value],
      ]),
  )
}

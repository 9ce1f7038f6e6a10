import { type Digest, digestOf } from '../store/index.ts'

/** The chainID of a layer on top of a chain of others (image-spec, config.md, "Layer ChainID"). */
export function chainId(parent: Digest | undefined, diffId: Digest): Digest {
  return parent === undefined ? diffId : digestOf(`${parent} ${diffId}`)
}

/** The chainIDs of an image's layers, bottom first. */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const chain: Digest[] = []
  for (const diffId of diffIds) chain.push(chainId(chain.at(-1), diffId))
  return chain
}

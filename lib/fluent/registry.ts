import { type RegistryOptions, RegistryServer } from '../registry/index.ts'

/**
 * Serves a store as a registry that docker, podman and skopeo pull from and push to: `RegistryServer.listen`. Rejects with `invalid_argument`,
 * `address_in_use` or `store_invalid`.
 *
 * @example
 * await using r = await registry({ port: 0, auth: { user: 'password' } })
 * r.host // 127.0.0.1:40123
 */
export async function registry(options?: RegistryOptions): Promise<RegistryServer> {
  return await RegistryServer.listen(options)
}

import type { Exchange } from './exchange.ts'
import { type Page, pageOf } from './page.ts'
import { Refusal } from './refusal.ts'
import type { Repositories } from './repositories.ts'
import { repositoryOf } from './repository.ts'
import type { Route } from './router.ts'

/** distribution-spec, "Determining Support" and "Listing Tags", and Docker's list of repositories. */
export function listRoutes(repositories: Repositories): Route[] {
  const tags = async (exchange: Exchange, name: string): Promise<void> => {
    const all = await repositories.tags(repositoryOf(name))
    if (all === undefined) throw new Refusal(404, 'NAME_UNKNOWN', 'there is no such repository', { detail: { name } })
    const page = pageOf(all, exchange.query)
    exchange.json({ name, tags: page.items }, linkTo(`/v2/${name}/tags/list`, page))
  }
  const catalog = async (exchange: Exchange): Promise<void> => {
    const page = pageOf(await repositories.names(), exchange.query)
    exchange.json({ repositories: page.items }, linkTo('/v2/_catalog', page))
  }
  const version = async (exchange: Exchange): Promise<void> => exchange.json({})
  return [
    { pattern: /^\/v2\/?$/, methods: { GET: version, HEAD: version } },
    { pattern: /^\/v2\/_catalog$/, methods: { GET: catalog } },
    { pattern: /^\/v2\/(.+)\/tags\/list$/s, methods: { GET: tags } },
  ]
}

function linkTo(path: string, { next }: Page): { Link?: string } {
  return next === undefined ? {} : { Link: `<${path}?${next}>; rel="next"` }
}

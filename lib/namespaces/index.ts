export { kindsOf, type NamespaceKind, type NamespaceLink, type NamespaceOptions, namespaceKinds, namespacesOfProcess } from './kinds.ts'
export { type OpenNamespaces, openNamespaces } from './open.ts'

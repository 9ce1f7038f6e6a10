export { kindsOf, namespaceKinds, namespacesOfProcess, type NamespaceKind, type NamespaceLink, type NamespaceOptions } from './kinds.ts'
export { openNamespaces, type OpenNamespaces } from './open.ts'

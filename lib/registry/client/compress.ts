/** Layers are compressed where they are packed; pushing asks for it. */
export { checkCompression, compress, type LayerCompression as PushCompression } from '../../layers/index.ts'

import type { Region } from './entry.ts'
import { blockSize, type Header, numberField } from './header.ts'
import { type LayerLimits, layerInvalid, limitExceeded } from './limits.ts'
import { type PaxRecords, paxNumber } from './pax.ts'
import type { ByteSource } from './source.ts'

/** Where a sparse file's data belongs, its real size, and how many bytes of the entry's body the map itself took. */
export interface SparseMap {
  readonly regions: readonly Region[]
  readonly size: number
  readonly mapBytes: number
}

/** GNU's old form: four regions in the header, more in the blocks after it (GNU tar manual, "Storing Sparse Files"). */
export async function readOldSparse(header: Header, source: ByteSource, limits: LayerLimits): Promise<SparseMap> {
  const regions: Region[] = []
  const addFrom = (block: Buffer, offset: number, count: number): void => {
    for (let each = 0; each < count; each += 1) {
      const at = offset + each * 24
      if (block[at] === 0) return
      regions.push({ offset: numberField(block, at, 12, 'sparse offset'), length: numberField(block, at + 12, 12, 'sparse length') })
    }
  }
  addFrom(header.block, 386, 4)
  for (let extended = header.block[482] !== 0; extended; ) {
    const block = await source.exactly(blockSize, 'a sparse map')
    if (block === undefined) throw layerInvalid('the archive ends within a sparse map')
    addFrom(block, 0, 21)
    extended = block[504] !== 0
    if (regions.length > limits.sparseRegions) throw limitExceeded('sparseRegions', limits.sparseRegions, 'regions of a sparse file')
  }
  const size = numberField(header.block, 483, 12, 'realsize')
  return { regions: checkRegions(regions, size, header.size, limits), size, mapBytes: 0 }
}

/** The three PAX forms, 0.0, 0.1 and 1.0; undefined when the records speak of none. */
export async function readPaxSparse(
  records: PaxRecords,
  stored: number,
  source: ByteSource,
  limits: LayerLimits,
): Promise<SparseMap | undefined> {
  const last = new Map(records)
  const number = (keyword: string): number | undefined => {
    const value = last.get(keyword)
    return value === undefined ? undefined : paxNumber(value, keyword)
  }
  const major = number('GNU.sparse.major')
  if (major === 1 && number('GNU.sparse.minor') === 0) {
    const size = number('GNU.sparse.realsize')
    if (size === undefined) throw layerInvalid('a sparse file without GNU.sparse.realsize')
    const { regions, mapBytes } = await readInlineMap(source, stored, limits)
    return { regions: checkRegions(regions, size, stored - mapBytes, limits), size, mapBytes }
  }
  const size = number('GNU.sparse.size')
  if (major !== undefined && major !== 0) throw layerInvalid('a sparse file of an unknown version')
  if (size === undefined) return undefined
  const numbers = numbersOf(records, last)
  if (numbers.length % 2 !== 0) throw layerInvalid('the map of a sparse file has half a region')
  if (numbers.length / 2 > limits.sparseRegions) throw limitExceeded('sparseRegions', limits.sparseRegions, 'regions of a sparse file')
  const regions: Region[] = []
  for (let at = 0; at < numbers.length; at += 2) regions.push({ offset: numbers[at] ?? 0, length: numbers[at + 1] ?? 0 })
  const announced = number('GNU.sparse.numblocks')
  if (announced !== undefined && announced !== regions.length)
    throw layerInvalid('the map of a sparse file has another number of regions than it says')
  return { regions: checkRegions(regions, size, stored, limits), size, mapBytes: 0 }
}

function numbersOf(records: PaxRecords, last: ReadonlyMap<string, Buffer>): number[] {
  const map = last.get('GNU.sparse.map')
  if (map !== undefined) {
    return map.length === 0
      ? []
      : map
          .toString('latin1')
          .split(',')
          .map((each) => paxNumber(Buffer.from(each), 'GNU.sparse.map'))
  }
  const numbers: number[] = []
  for (const [keyword, value] of records) {
    const expected = numbers.length % 2 === 0 ? 'GNU.sparse.offset' : 'GNU.sparse.numbytes'
    if (keyword !== 'GNU.sparse.offset' && keyword !== 'GNU.sparse.numbytes') continue
    if (keyword !== expected) throw layerInvalid('the map of a sparse file is out of order')
    numbers.push(paxNumber(value, keyword))
  }
  return numbers
}

/** Form 1.0: the map stands before the data, as decimal numbers a line each, in whole blocks. */
async function readInlineMap(source: ByteSource, stored: number, limits: LayerLimits): Promise<{ regions: Region[]; mapBytes: number }> {
  let text = ''
  let mapBytes = 0
  const numbers: number[] = []
  const wanted = (): number => (numbers.length === 0 ? 1 : 1 + 2 * (numbers[0] ?? 0))
  while (numbers.length < wanted()) {
    const end = text.indexOf('\n')
    if (end >= 0) {
      numbers.push(paxNumber(Buffer.from(text.slice(0, end), 'latin1'), 'sparse map'))
      text = text.slice(end + 1)
      if ((numbers[0] ?? 0) > limits.sparseRegions) throw limitExceeded('sparseRegions', limits.sparseRegions, 'regions of a sparse file')
      continue
    }
    if (mapBytes + blockSize > stored || text.length > 32) throw layerInvalid('the map of a sparse file does not end')
    const block = await source.exactly(blockSize, 'a sparse map')
    if (block === undefined) throw layerInvalid('the archive ends within a sparse map')
    text += block.toString('latin1')
    mapBytes += blockSize
  }
  const regions: Region[] = []
  for (let at = 1; at < numbers.length; at += 2) regions.push({ offset: numbers[at] ?? 0, length: numbers[at + 1] ?? 0 })
  return { regions, mapBytes }
}

/** Regions must follow one another within the file and hold exactly the bytes that are stored. */
function checkRegions(regions: readonly Region[], size: number, stored: number, limits: LayerLimits): Region[] {
  if (size > limits.fileBytes) throw limitExceeded('fileBytes', limits.fileBytes, 'size of a sparse file')
  let end = 0
  let sum = 0
  for (const region of regions) {
    if (region.offset < end || region.length < 0 || region.offset + region.length > size)
      throw layerInvalid('the map of a sparse file overlaps or reaches past its end')
    end = region.offset + region.length
    sum += region.length
  }
  if (sum !== stored) throw layerInvalid('the map of a sparse file does not fit the data stored')
  return regions.filter((each) => each.length > 0)
}

// A CPU profile of V8, summed by the parts of the server.

import { fileURLToPath } from 'node:url'
import { here } from './machine.mjs'

const ours = new URL('../dist/', `file://${here}/`).href

/**
 * @param profile of V8: nodes with samples, and the time between them
 * @returns `parts` (what share of the busy time each took), `functions` (those above 5 %), and how busy the thread was
 */
export function whereTimeGoes({ nodes, samples, timeDeltas }) {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])))
  const self = new Map()
  for (const [index, id] of samples.entries()) self.set(id, (self.get(id) ?? 0) + timeDeltas[index])

  let idle = 0
  let busy = 0
  const parts = new Map()
  const functions = new Map()
  const add = (map, key, time) => map.set(key, (map.get(key) ?? 0) + time)
  for (const [id, time] of self) {
    const { functionName, url } = byId.get(id).callFrame
    // What is built in has no address: it belongs to whoever called it.
    let owner = id
    while (byId.get(owner).callFrame.url === '' && parents.has(owner)) owner = parents.get(owner)
    const address = byId.get(owner).callFrame.url
    if (functionName === '(idle)') idle += time
    // The profiler's own beginning and end.
    if (functionName === '(idle)' || address.startsWith('node:inspector')) continue
    busy += time
    add(parts, partOf(functionName, address), time)
    add(functions, nameOf(functionName, url, address), time)
  }
  const sorted = (map) =>
    [...map].map(([name, time]) => ({ name, share: time / busy })).sort((a, b) => b.share - a.share)
  return {
    busy: busy / (busy + idle),
    parts: sorted(parts).filter(({ share }) => share >= 0.005),
    functions: sorted(functions).filter(({ share }) => share >= 0.05),
  }
}

function partOf(functionName, address) {
  if (functionName === '(garbage collector)') return 'garbage collection'
  if (functionName === '(program)') return 'native code outside JavaScript (sockets, libuv, V8)'
  if (address === '') return 'V8 and native code without a caller'
  if (address.startsWith(ours)) {
    const [folder, ...rest] = address.slice(ours.length).split('/')
    return rest.length > 0 ? `src/${folder}` : `src/${folder.replace(/\.js$/, '.ts')}`
  }
  if (address.startsWith('node:')) return nodePart(address)
  const [, library] = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(address) ?? []
  if (!library) return 'the bench itself'
  return library.startsWith('pg') || library === 'postgres-array' || library.startsWith('postgres-') ? 'pg' : library
}

function nodePart(address) {
  if (/crypto/.test(address)) return 'node: crypto'
  if (/_http|http|url|querystring/.test(address)) return 'node: http'
  if (/net|stream|timers|task_queues|process|async|events|buffer/.test(address))
    return 'node: streams, sockets, event loop'
  return 'node: other'
}

function nameOf(functionName, url, address) {
  if (functionName.startsWith('(') && url === '') return functionName
  const name = functionName === '' ? '(anonymous)' : functionName
  return `${name} ${url === '' ? `native, called from ${short(address)}` : short(url)}`
}

function short(address) {
  if (address === '') return 'nowhere'
  if (address.startsWith(ours)) return `src/${address.slice(ours.length).replace(/\.js$/, '.ts')}`
  if (address.startsWith('file:'))
    return fileURLToPath(address)
      .replace(/^.*node_modules\//, '')
      .replace(`${here}/`, 'bench/')
  return address
}

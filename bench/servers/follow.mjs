// One verifier that begins with a long list: how long that takes it, and what an entry costs it. Started with --expose-gc.

import { openVerifier } from '../verifiers.mjs'
import { serve } from './child.mjs'

serve(async ({ site, origin }) => {
  const before = memory()
  const startedAt = performance.now()
  const verifier = await openVerifier(site, origin)
  const seconds = (performance.now() - startedAt) / 1000
  const bytes = memory() - before
  return { seconds, entries: verifier.health().revocations, bytes, rss: process.memoryUsage.rss() }
})

/** What is alive, in bytes. */
function memory() {
  for (let turn = 0; turn < 3; turn++) globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

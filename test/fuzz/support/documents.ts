import { Readable } from 'node:stream'
import { readMetadata } from '../../../src/cli/client-metadata.js'
import { UsageError } from '../../../src/cli/command.js'
import { InputError } from '../../../src/cli/input.js'
import { registerClient } from '../../../src/clients/index.js'
import { OAuthError } from '../../../src/oauth/index.js'
import { AdministrationError } from '../../../src/platform/administration-errors.js'
import { registration } from '../../support/server.js'
import type { Scene } from './scene.js'
import { deadline, describe, Violation, type Watch, within } from './watch.js'

const nowhere = { write: () => undefined }

/**
 * Registers a client by a document as `client create --from-json -` does, in this process: whatever stands in it, it is
 * registered, or refused by an error that the command line has words for. One that took too long is registered again, and
 * may then be as late as the machine is busy.
 *
 * @throws {Violation}
 */
export async function sendDocument(scene: Scene, watch: Watch, document: string): Promise<void> {
  const first = await register(scene, watch, document)
  if (first <= deadline) {
    watch.countInTime(first)
    return
  }
  watch.countLate(first)
  const allowed = await watch.allowance(scene.server)
  const again = await register(scene, watch, document)
  if (again > allowed) throw new Violation(`a document took ${Math.round(again)} ms, twice in a row`)
}

/** @returns the milliseconds that it took */
async function register({ server }: Scene, watch: Watch, document: string): Promise<number> {
  const since = performance.now()
  const io = { stdin: Readable.from([Buffer.from(document)]), stdout: nowhere, stderr: nowhere, env: {} }
  let outcome = 'document registered'
  try {
    await within(
      30 * deadline,
      (async () => {
        const metadata = await readMetadata(io, { 'from-json': '-' })
        await registerClient(server.ctx, metadata, registration)
      })(),
    )
  } catch (error) {
    const isExpected =
      error instanceof UsageError ||
      error instanceof InputError ||
      error instanceof AdministrationError ||
      (error instanceof OAuthError && error.status < 500)
    if (!isExpected) throw new Violation(`not refused but failed: ${describe(error)}`)
    if (watch.holdsSecret(error.message)) throw new Violation(`a secret is in the message: ${error.message}`)
    outcome = 'document refused'
  }
  watch.count(outcome, 'documents')
  return performance.now() - since
}

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
 * registered, or refused by an error that the command line has words for.
 *
 * @throws {Violation}
 */
export async function sendDocument({ server }: Scene, watch: Watch, document: string): Promise<void> {
  const since = performance.now()
  const io = { stdin: Readable.from([Buffer.from(document)]), stdout: nowhere, stderr: nowhere, env: {} }
  let outcome = 'registered'
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
  watch.count(outcome === 'registered' ? 'document registered' : outcome, 'documents')
  const milliseconds = performance.now() - since
  if (milliseconds > 10 * deadline) throw new Violation(`a document took ${Math.round(milliseconds)} ms`)
}

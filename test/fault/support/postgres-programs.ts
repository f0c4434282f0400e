import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Account, isRoot, unprivilegedAccount } from '../../../src/platform/embedded-postgres/account.js'
import { findBinaries } from '../../../src/platform/embedded-postgres/binaries.js'
import { makeFolder } from '../../support/process.js'

/** The programs of one PostgreSQL, and the account that they run under where we are root. */
export interface Programs {
  readonly path: (name: string) => string
  readonly account: Account | undefined
}

/** Those of the npm package: initdb and postgres alone. */
export async function embeddedPrograms(t: Test): Promise<Programs> {
  const account = isRoot() ? await unprivilegedAccount() : undefined
  // Where the account cannot reach the package, a copy is made here.
  const { folder } = await findBinaries(await makeFolder(t), account)
  return { path: (name) => join(folder, 'bin', name), account }
}

/** Where Debian has them. Newer ones serve as well. */
const folders = ['15', '16', '17', '18'].map((version) => `/usr/lib/postgresql/${version}/bin`)

/** Those of the machine, which can make a standby. @returns undefined where there are none */
export async function installedPrograms(): Promise<Programs | undefined> {
  const folder = folders.find((each) => existsSync(join(each, 'pg_basebackup')))
  if (folder === undefined) return undefined
  return { path: (name) => join(folder, name), account: isRoot() ? await unprivilegedAccount() : undefined }
}

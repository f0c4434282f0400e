import { readFileSync } from 'node:fs'
import { EmbeddedPostgresError } from './errors.js'
import { run } from './processes.js'

/** An unprivileged account of the system, under which PostgreSQL runs when we run as root. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** PostgreSQL refuses to run as root. On Windows it gives up its rights by itself. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0
}

/**
 * `postgres` where there is one, since other services may run as `nobody`. No account is created on a machine that is
 * not ours.
 *
 * @throws {EmbeddedPostgresError} where neither exists
 */
export async function unprivilegedAccount(): Promise<Account> {
  for (const name of ['postgres', 'nobody']) {
    const account = passwdEntry(name) ?? (await askSystem(name))
    if (account && account.uid !== 0) return account
  }
  throw new EmbeddedPostgresError(
    'PostgreSQL does not run as root, and this machine has neither an account `postgres` nor `nobody` to run it under. ' +
      'Start the server as another user, or set DATABASE_URL.',
  )
}

function passwdEntry(name: string): Account | undefined {
  let text: string
  try {
    text = readFileSync('/etc/passwd', 'utf8')
  } catch {
    return undefined
  }
  const fields = text.split('\n').find((line) => line.startsWith(`${name}:`))
  const [, , uid, gid] = fields?.split(':') ?? []
  return uid && gid ? { name, uid: Number(uid), gid: Number(gid) } : undefined
}

/** Accounts of a directory service (macOS has no others) are not in /etc/passwd. */
async function askSystem(name: string): Promise<Account | undefined> {
  const [uid, gid] = await Promise.all(['-u', '-g'].map((option) => run('id', [option, name])))
  if (uid?.status !== 0 || gid?.status !== 0) return undefined
  // macOS counts `nobody` as -2, which is 4294967294 to the kernel.
  return { name, uid: Number(uid.stdout) >>> 0, gid: Number(gid.stdout) >>> 0 }
}

/**
 * Whether the account passes all folders up to each path, and may enter or run what is there. Asked of the system by
 * trying, since modes are not all that decides.
 *
 * @throws {EmbeddedPostgresError} where this root cannot become another user, as in some containers
 */
export async function mayPass(account: Account | undefined, paths: readonly string[]): Promise<boolean> {
  if (!account) return true
  try {
    const test = 'for path; do test -x "$path" || exit 1; done'
    return (await run('/bin/sh', ['-c', test, 'sh', ...paths], { account })).status === 0
  } catch (error) {
    throw new EmbeddedPostgresError(
      `PostgreSQL does not run as root, and this process may not start another under the account ${account.name} ` +
        `(${error instanceof Error ? error.message : error}). Start the server as another user, or set DATABASE_URL.`,
      { cause: error },
    )
  }
}

import { randomBytes } from 'node:crypto'
import { computeArgon2 } from './argon2.js'

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane. About 13 ms. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

const CURRENT = `$argon2id$v=19$m=${COST.memoryCost},t=${COST.timeCost},p=${COST.parallelism}$`

/** Whether the hash was made with today's cost; another one is made anew at the next login. */
export function isCurrentHash(hash: string): boolean {
  return hash.startsWith(CURRENT)
}

/** Longer than any passphrase; a bound on what is hashed for a stranger. */
const MAX_BYTES = 1024

const MIN_CHARACTERS = 12

/** More passwords wait to be hashed than was allowed: 503, and the client may try again. */
export class QueueFullError extends Error {
  override readonly name = 'QueueFullError'

  constructor() {
    super('too many passwords wait to be hashed')
  }
}

/** Keeps what a person chose under argon2id, off the event loop and with a bound on memory. */
export interface PasswordHasher {
  /** @throws {QueueFullError} */
  hash(password: string): Promise<string>
  /**
   * Whether the password is the one that was hashed. A password that is too long for any hash is wrong, at the same cost.
   *
   * @throws {QueueFullError}
   */
  verify(hash: string, password: string): Promise<boolean>
  /**
   * The work of `verify` for an account that does not exist or has no password, so that the time tells nobody which
   * accounts exist (attacks 65 and 100). Always false.
   *
   * @throws {QueueFullError}
   */
  verifyAgainstNothing(password: string): Promise<false>
  /** How many hashes were computed, so that a test can assert equal work. */
  readonly computed: number
  /** How many wait at this moment. */
  readonly waiting: number
}

export interface PasswordHasherOptions {
  /** Hashes at the same time, each in a thread of its own. Default 2. */
  readonly concurrency?: number
  /** Passwords that may wait; beyond, `QueueFullError`. */
  readonly queue: number
}

export function createPasswordHasher({ concurrency = 2, queue }: PasswordHasherOptions): PasswordHasher {
  // Nobody knows its password, and it costs what every other one costs.
  const nothing = `${CURRENT}${unpadded(randomBytes(16))}$${unpadded(randomBytes(32))}`
  const waiting: (() => void)[] = []
  let running = 0
  let computed = 0

  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (running < concurrency) {
      running++
    } else {
      if (waiting.length >= queue) throw new QueueFullError()
      // Whoever finishes hands its turn over, so nobody overtakes those that wait.
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
    computed++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }

  async function verifyAgainstNothing(password: string): Promise<false> {
    await inTurn(() => compare(nothing, isTooLong(password) ? '' : normalisePassword(password)))
    return false
  }

  return {
    hash: (password) => inTurn(() => computeHash(normalisePassword(password))),
    verify: (hash, password) =>
      isTooLong(password) ? verifyAgainstNothing(password) : inTurn(() => compare(hash, normalisePassword(password))),
    verifyAgainstNothing,
    get computed() {
      return computed
    },
    get waiting() {
      return waiting.length
    },
  }
}

async function computeHash(password: string): Promise<string> {
  return String(await computeArgon2({ kind: 'hash', password, cost: COST }))
}

async function compare(hash: string, password: string): Promise<boolean> {
  return (await computeArgon2({ kind: 'verify', hash, password })) === true
}

/** Base64 as the PHC string format has it. */
function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}

/**
 * The same password typed on different keyboards is the same text: spaces of any kind as U+0020, then NFC. RFC 8265 §4.2.
 */
export function normalisePassword(password: string): string {
  return password.replace(/\p{Zs}/gu, ' ').normalize('NFC')
}

function isTooLong(password: string): boolean {
  // The length in UTF-16 units first: a huge text is not normalised to learn that it is huge.
  return password.length > MAX_BYTES || Buffer.byteLength(normalisePassword(password)) > MAX_BYTES
}

/** Why a password may not be chosen. `message` is a sentence for the person who chose it. */
export interface PasswordProblem {
  readonly reason: 'too_short' | 'too_long' | 'unprintable' | 'common' | 'like_email'
  readonly message: string
}

/**
 * What a new password must be, after NIST SP 800-63B-4 §3.1.1.2: long, printable, and none that everybody tries first.
 * No rules about kinds of characters, and no expiry. The least length is 12 characters; NIST asks for 15 where the
 * password is the only factor, but stops counting guesses where this server does (ten from one network).
 *
 * @param context the person's own e-mail address, which is tried first too
 * @returns undefined when the password may be used
 */
export function checkNewPassword(
  password: string,
  context: { readonly email?: string } = {},
): PasswordProblem | undefined {
  if (isTooLong(password)) {
    return { reason: 'too_long', message: `The password is longer than ${MAX_BYTES} bytes. Choose a shorter one.` }
  }
  // RFC 8265 §4.2.1: no control characters; and no half of a character, which two encoders would write differently.
  if (/[\p{Cc}\p{Cs}]/u.test(password)) {
    return { reason: 'unprintable', message: 'The password holds a character that cannot be typed everywhere.' }
  }
  const normalised = normalisePassword(password)
  if ([...normalised].length < MIN_CHARACTERS) {
    return {
      reason: 'too_short',
      message: `The password is shorter than ${MIN_CHARACTERS} characters. Several words make a good one.`,
    }
  }
  const lower = normalised.toLowerCase()
  if (isLikeEmail(lower, context.email?.toLowerCase())) {
    return { reason: 'like_email', message: 'The password is too much like the e-mail address. Choose another.' }
  }
  if (isCommon(lower)) {
    return { reason: 'common', message: 'Many people use this password or one like it. Choose another.' }
  }
  return undefined
}

/** The address or the name before its @, with a little around it. */
function isLikeEmail(password: string, email: string | undefined): boolean {
  if (!email) return false
  const [local = ''] = email.split('@')
  return [email, local].some((part) => part.length >= 4 && password.replaceAll(part, '').length < 8)
}

/** What people put digits and signs around, or write twice, to get past a least length. */
const COMMON_WORDS: readonly string[] = [
  ...['password', 'passwort', 'passw', 'pass', 'motdepasse', 'contrasena', 'parola', 'wachtwoord', 'haslo', 'secret'],
  ...['qwerty', 'qwertz', 'azerty', 'qwertyuiop', 'qwertzuiop', 'azertyuiop', 'asdfghjkl', 'zxcvbnm', 'asdf', 'qazwsx'],
  ...['qazwsxedc', 'qwe', 'asd', 'zxc', 'qaz', 'wsx', 'edc', 'letmein', 'welcome', 'willkommen', 'bienvenue', 'hello'],
  ...['iloveyou', 'ilove', 'you', 'admin', 'administrator', 'root', 'superuser', 'user', 'username', 'guest', 'test'],
  ...['testing', 'login', 'changeme', 'change', 'default', 'master', 'access', 'abc', 'abcd', 'abcdef', 'abcdefgh'],
  ...['abcdefghijkl', 'monkey', 'dragon', 'football', 'baseball', 'basketball', 'sunshine', 'princess', 'superman'],
  ...['batman', 'pokemon', 'starwars', 'trustno', 'whatever', 'computer', 'internet', 'server', 'google', 'facebook'],
  ...['summer', 'winter', 'spring', 'autumn', 'sommer', 'january', 'february', 'march', 'april', 'june', 'july'],
  ...['august', 'september', 'october', 'november', 'december', 'monday', 'friday', 'correcthorsebatterystaple'],
  ...['michael', 'jordan', 'jessica', 'charlie', 'thomas', 'liverpool', 'chelsea', 'arsenal', 'ostiary', 'demo'],
]

/** How letters are written by those who were asked for a digit or a sign. */
const LOOKALIKES: Readonly<Record<string, string>> = {
  a: '[a4@]',
  e: '[e3]',
  i: '[i1!]',
  o: '[o0]',
  s: '[s5$]',
  t: '[t7]',
}

/** Longest first, so that `password` is taken before `pass`. */
const COMMON = new RegExp(
  [...COMMON_WORDS]
    .sort((a, b) => b.length - a.length)
    .map((word) => word.replace(/[aeiost]/g, (letter) => LOOKALIKES[letter] ?? letter))
    .join('|'),
  'g',
)

function isCommon(password: string): boolean {
  if (new Set(password).size < 4 || isSequence(password)) return true
  // 1q2w3e4r5t6y and its like: two walks over the keyboard, one in each hand.
  const odd = [...password].filter((_, index) => index % 2 === 0).join('')
  const even = [...password].filter((_, index) => index % 2 === 1).join('')
  if (isSequence(odd) && (isSequence(even) || ROWS.some((row) => row.includes(even)))) return true

  // Nothing but common words, digits and signs: what is left to guess is a year and an exclamation mark.
  const rest = password.replace(COMMON, '')
  return rest !== password && !/\p{L}/u.test(rest) && rest.length < 8
}

const ROWS: readonly string[] = ['qwertyuiop', 'qwertzuiop', 'azertyuiop', 'asdfghjkl', 'zxcvbnm', 'yxcvbnm']

/** Each character follows the one before by the same small step, as in 123456789012, cba or aaa. */
function isSequence(text: string): boolean {
  const codes = [...text].map((character) => character.codePointAt(0) ?? 0)
  const steps = codes
    .slice(1)
    .map((code, index) =>
      /\d/.test(text[index] ?? '') ? (code - (codes[index] ?? 0) + 10) % 10 : code - (codes[index] ?? 0),
    )
  const [first] = steps
  return first !== undefined && [0, 1, -1, 9].includes(first) && steps.every((step) => step === first)
}

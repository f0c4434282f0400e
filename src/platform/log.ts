import { type DestinationStream, destination as fileDestination, type Logger, pino, stdTimeFunctions } from 'pino'

export type { Logger }

export interface LoggerOptions {
  /** The least serious level that is written. */
  readonly level: string
  /** For people at a terminal: one short line each. Otherwise JSON lines. */
  readonly pretty: boolean
  /** Where lines go; standard output by default. */
  readonly destination?: DestinationStream
}

/**
 * The log of the process. What looks like a secret is struck out by the name of its field, errors lose the values that
 * the database quotes in them, and requests lose everything but method and route (attack 131). That is the second fence:
 * the first is not to log such things.
 */
export function createLogger({ level, pretty, destination }: LoggerOptions): Logger {
  // Not synchronous: lines that come while one is written go out together. What is left is flushed at exit.
  const output = destination ?? fileDestination({ dest: 1, sync: false })
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => strike(fields),
      },
      serializers: { err: describeError, error: describeError, req: describeRequest, res: describeResponse },
      hooks: {
        // pino takes an error's own message where a line has none, past the serializers.
        logMethod(args, method) {
          const [first, message]: readonly unknown[] = args
          if (first instanceof Error) return method.call(this, { err: first }, String(message ?? safeMessage(first)))
          if (message === undefined && isRecord(first) && first.err instanceof Error) {
            return method.call(this, first, safeMessage(first.err))
          }
          return method.apply(this, args)
        },
      },
    },
    pretty ? prettyStream(output) : output,
  )
}

const STRUCK = '[struck out]'

/** In small letters, without `_` and `-`; those that end in one of `SECRET_ENDINGS` are secret too. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  'assertion',
  'authorization',
  'code',
  'codechallenge',
  'cookie',
  'cookies',
  'csrf',
  'dpop',
  'email',
  'headers',
  'loginhint',
  'nonce',
  'state',
  'usercode',
  'username',
])
const SECRET_ENDINGS =
  /(?:assertion|apikey|cookie|email|masterkey|passphrase|password|privatekey|secret|token|verifier)s?$/

const secretNames = new Map<string, boolean>()

/** Remembered, since the fields of log lines are few and always the same. */
function isSecretName(name: string): boolean {
  let secret = secretNames.get(name)
  if (secret === undefined) {
    const bare = name.toLowerCase().replace(/[_-]/g, '')
    secret = SECRET_NAMES.has(bare) || SECRET_ENDINGS.test(bare)
    if (secretNames.size < 1000) secretNames.set(name, secret)
  }
  return secret
}

/** A copy without the values of secret-shaped fields; the object itself where it has none. Errors are left to `err`. */
function strike(fields: Record<string, unknown>, depth = 0): Record<string, unknown> {
  let struck: Record<string, unknown> | undefined
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    const instead = isSecretName(name) && value !== undefined ? STRUCK : strikeValue(value, depth)
    if (instead !== value) {
      struck ??= { ...fields }
      struck[name] = instead
    }
  }
  return struck ?? fields
}

function strikeValue(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth > 4) return STRUCK
  if (Array.isArray(value)) return value.map((item) => strikeValue(item, depth + 1))
  if (value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)) return STRUCK
  const prototype = Object.getPrototypeOf(value)
  return isRecord(value) && (prototype === Object.prototype || prototype === null) ? strike(value, depth + 1) : value
}

/** What a log line says of an error: never the values that PostgreSQL, Prisma or a URL put into its message. */
export function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return typeof error === 'string' ? safeText(error) : typeof error
  const described: Record<string, unknown> = { type: error.name, message: safeMessage(error) }
  for (const name of ['code', 'reason', 'syscall', 'constraint', 'table', 'severity', 'statusCode']) {
    const value: unknown = Reflect.get(error, name)
    if (typeof value === 'string' || typeof value === 'number') described[name] = value
  }
  described.stack = (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => line.trim())
  if (depth < 3) {
    if (error.cause !== undefined) described.cause = describeError(error.cause, depth + 1)
    if (error instanceof AggregateError) {
      described.errors = error.errors.slice(0, 5).map((each) => describeError(each, depth + 1))
    }
  }
  return described
}

function safeMessage(error: Error): string {
  const { name, message } = error
  // Prisma repeats the call with its arguments; what went wrong is the last line.
  if (name.startsWith('PrismaClient')) return safeText(message.trim().split('\n').at(-1) ?? '')
  // SQLSTATE class 22: the value that could not be read is quoted in the message.
  if (/^22[0-9A-Z]{3}$/.test(String(Reflect.get(error, 'code')))) return message.replace(/"[^"]*"/g, `"${STRUCK}"`)
  return safeText(message)
}

/** Without tokens and codes of ours, JWTs, and the passwords and queries of URLs. */
function safeText(text: string): string {
  return text
    .slice(0, 2000)
    .replace(/eyJ[\w-]{8,}(?:\.[\w-]*)*/g, STRUCK)
    .replace(/o[a-z]{2}_[0-9a-z]{1,6}_[\w-]{43}/g, STRUCK)
    .replace(/:\/\/[^\s/@]{1,500}@/g, '://')
    .replace(/(:\/\/[^\s?]*)(?:\?[^\s'"]*)?/g, '$1')
}

/** A request, or what Fastify logs in its place. The path is the route's: what stood in the address may be a secret. */
function describeRequest(request: unknown): unknown {
  if (!isRecord(request)) return undefined
  const route = isRecord(request.routeOptions) ? request.routeOptions.url : undefined
  return { method: request.method, route: route ?? 'unknown', requestId: request.id }
}

function describeResponse(reply: unknown): unknown {
  return isRecord(reply) ? { status: reply.statusCode } : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

const LEVEL_COLOURS: Readonly<Record<string, number>> = {
  trace: 90,
  debug: 90,
  info: 32,
  warn: 33,
  error: 31,
  fatal: 31,
}

/** `HH:MM:SS LEVEL message key=value`, in local time. Turns the lines of pino into it. */
function prettyStream(output: DestinationStream): DestinationStream {
  return {
    write(line) {
      output.write(prettyLine(line))
    },
  }
}

function prettyLine(line: string): string {
  const { level, time, msg, pid: _pid, requestId, err, ...fields }: Record<string, unknown> = JSON.parse(line)
  const serious = level !== 'info' && level !== 'debug' && level !== 'trace'
  const clock = new Date(String(time)).toTimeString().slice(0, 8)
  const label = String(level).toUpperCase().padEnd(5)
  const colour = LEVEL_COLOURS[String(level)] ?? 0
  const shown = Object.entries(serious && requestId !== undefined ? { ...fields, requestId } : fields)
  const pairs = shown.map(([name, value]) => ` \u001b[2m${harmless(name)}=\u001b[22m${prettyValue(value)}`).join('')
  const text = `\u001b[2m${clock}\u001b[22m \u001b[${colour}m${label}\u001b[39m ${harmless(String(msg ?? ''))}${pairs}\n`
  return isRecord(err) ? `${text}${prettyError(err, '  ')}` : text
}

function prettyValue(value: unknown): string {
  if (typeof value === 'string' && /^[\w.:/@+-]+$/.test(value)) return value
  return harmless(JSON.stringify(value) ?? '')
}

function prettyError(error: Record<string, unknown>, indent: string): string {
  const { type, message, code, stack, cause } = error
  const head = `${indent}${harmless(`${type}${code === undefined ? '' : ` ${code}`}: ${message}`)}\n`
  const frames = Array.isArray(stack) ? stack.map((frame) => `${indent}  ${harmless(String(frame))}\n`).join('') : ''
  return head + frames + (isRecord(cause) ? prettyError(cause, `${indent}  `) : '')
}

/** Nothing in a value can move the cursor, forge a line or turn the direction of the text (attack 131). */
function harmless(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
    /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

import type { Static, TObject } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { InvalidRequestError } from './errors.js'
import { decodeAscii, outsideForm } from './form-encoding.js'

/**
 * What came off the wire. It inherits from nothing that has members, so `constructor` and `__proto__` are names like
 * any other (attack 120). Only what was declared `repeatable` is an array.
 */
export type Parameters = Readonly<Record<string, string | readonly string[] | undefined>>

export type ReadParametersOptions = {
  /** Names that may occur more than once, such as `resource` (RFC 8707 §2). Their value is always an array. */
  readonly repeatable?: readonly string[]
  /** Names whose value may have 32 KiB: signed ones. */
  readonly long?: readonly string[]
}

const maxParameters = 200
const maxBytes = 8_192
const maxLongBytes = 32_768

/** An object that inherits no member and that V8, unlike the result of Object.create(null), keeps in its fast mode. */
class NoMembers {
  [name: string]: string | readonly string[] | undefined
}
Object.setPrototypeOf(NoMembers.prototype, null)
Reflect.deleteProperty(NoMembers.prototype, 'constructor')

/**
 * Reads an application/x-www-form-urlencoded text: a query without its `?`, or a body. Parameters without a value count
 * as omitted, but still as an occurrence. RFC 6749 §3.1, §3.2 and Appendix B.
 *
 * @throws {InvalidRequestError} when a parameter is repeated (attack 18), malformed or too long, or when there
 *   are more than 200 of them, which is found out before any is decoded
 */
export function readParameters(
  encoded: string,
  { repeatable = [], long = [] }: ReadParametersOptions = {},
): Parameters {
  const parameters = new NoMembers()
  if (encoded === '') return parameters
  refuseTooMany(encoded)
  if (outsideForm.test(encoded)) throw malformed()

  const isEncoded = encoded.includes('%') || encoded.includes('+')
  let emptyNames: Set<string> | undefined
  let equals = encoded.indexOf('=')
  for (let start = 0; start < encoded.length; ) {
    const ampersand = encoded.indexOf('&', start)
    const end = ampersand === -1 ? encoded.length : ampersand
    // Searched again only when it was passed, so that a text without `=` is not read 200 times.
    if (equals !== -1 && equals < start) equals = encoded.indexOf('=', start)
    const hasValue = equals !== -1 && equals < end
    const nameEnd = hasValue ? equals : end

    if (end > start) {
      const name = component(encoded.slice(start, nameEnd), maxBytes, isEncoded)
      const most = long.length > 0 && long.includes(name) ? maxLongBytes : maxBytes
      const value = hasValue ? component(encoded.slice(equals + 1, end), most, isEncoded) : ''
      if (repeatable.length > 0 && repeatable.includes(name)) {
        if (value !== '') parameters[name] = [...(parameters[name] ?? []), value]
      } else {
        if (name in parameters || emptyNames?.has(name)) throw repeated(name)
        if (value === '') emptyNames = (emptyNames ?? new Set()).add(name)
        else parameters[name] = value
      }
    }
    start = end + 1
  }
  return parameters
}

/**
 * Compiles what an endpoint expects, once, into the function that turns parameters into it. What the schema does not
 * name is left out: unknown parameters are ignored. RFC 6749 §3.1, §3.2.
 *
 * @returns a function that throws {InvalidRequestError} with the name of the first parameter that is missing or invalid
 */
export function compileParameters<T extends TObject>(schema: T): (parameters: Parameters) => Static<T> {
  const check = TypeCompiler.Compile(schema)
  const names = Object.keys(schema.properties)

  return (parameters) => {
    const known = new NoMembers()
    for (const name of names) {
      const value = parameters[name]
      if (value !== undefined) known[name] = value
    }
    if (check.Check(known)) return known

    const name = check.Errors(known).First()?.path.split('/')[1] ?? ''
    if (known[name] === undefined) {
      throw new InvalidRequestError(`The parameter ${name} is missing.`, { reason: 'parameter_missing', field: name })
    }
    throw new InvalidRequestError(`The parameter ${name} is invalid.`, { reason: 'parameter_invalid', field: name })
  }
}

function refuseTooMany(encoded: string): void {
  let at = -1
  for (let count = 0; count < maxParameters; count++) {
    at = encoded.indexOf('&', at + 1)
    if (at === -1) return
  }
  throw new InvalidRequestError(`There are more than ${maxParameters} parameters.`, { reason: 'parameters_too_many' })
}

function component(raw: string, most: number, isEncoded: boolean): string {
  // Each byte takes at most three characters on the wire.
  if (raw.length > 3 * most) throw tooLong(most)
  const decoded = isEncoded ? decodeAscii(raw) : raw
  if (decoded === undefined) throw malformed()
  // No character takes more than three bytes in UTF-8 (a surrogate pair takes four, and is two characters here).
  if (decoded.length * 3 > most && Buffer.byteLength(decoded) > most) throw tooLong(most)
  return decoded
}

function repeated(name: string): InvalidRequestError {
  // A name is shown only if it could be one of ours: nothing else that was sent is sent back.
  const subject = /^[a-z][a-z0-9_]{0,63}$/.test(name) ? `The parameter ${name}` : 'A parameter'
  return new InvalidRequestError(`${subject} is given more than once.`, { reason: 'parameter_repeated' })
}

function tooLong(most: number): InvalidRequestError {
  return new InvalidRequestError(`A parameter is longer than ${most / 1024} KiB.`, { reason: 'parameter_too_long' })
}

function malformed(): InvalidRequestError {
  return new InvalidRequestError('A parameter is not percent-encoded UTF-8, or holds a control character.', {
    reason: 'parameter_malformed',
  })
}

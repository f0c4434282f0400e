/** A media type or coding of a field like `Accept`, with its weight. RFC 9110 §12.4.2. */
interface Choice {
  readonly name: string
  readonly weight: number
}

function readChoices(field: string): readonly Choice[] {
  return field.split(',').map((part) => {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
    return { name, weight: weight === undefined ? 1 : Number(weight) || 0 }
  })
}

/** By the name that fits most closely; without any, it is not wanted. RFC 9110 §12.5.1. */
function weightOf(field: string, names: readonly string[]): number {
  const choices = readChoices(field)
  for (const name of names) {
    const found = choices.find((choice) => choice.name === name)
    if (found) return found.weight
  }
  return 0
}

/** Whether the type may be sent. Without the field, anything may. RFC 9110 §12.5.1. */
export function acceptsType(field: string | undefined, type: string): boolean {
  if (field === undefined || field.trim() === '') return true
  return weightOf(field, [type, `${type.slice(0, type.indexOf('/'))}/*`, '*/*']) > 0
}

/** Whether it may be compressed. Without the field, better not. RFC 9110 §12.5.3. */
export function acceptsGzip(field: string | undefined): boolean {
  return field !== undefined && weightOf(field, ['gzip', 'x-gzip', '*']) > 0
}

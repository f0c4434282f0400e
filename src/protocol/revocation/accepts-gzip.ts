/** Whether the Accept-Encoding of a request takes gzip. RFC 9110 §12.5.3. */
export function acceptsGzip(header: string | readonly string[] | undefined): boolean {
  let anything = false
  for (const part of String(header ?? '')
    .toLowerCase()
    .split(',')) {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim())
    const isRefused = parameters.some((text) => /^q=0(?:\.0{0,3})?$/.test(text))
    if (name === 'gzip' || name === 'x-gzip') return !isRefused
    if (name === '*' && !isRefused) anything = true
  }
  return anything
}

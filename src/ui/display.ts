import { domainToASCII } from 'node:url'

/** What stands in for a name of which nothing readable is left. */
export const UNNAMED = 'Unnamed application'

const MAX_NAME_LENGTH = 80

/** A DNS name has no more characters than this. RFC 1035 §2.3.4. */
const MAX_HOST_LENGTH = 253

// Control, bidi override and isolate, zero-width, tag, private, unassigned and half characters, and everything that
// Unicode says is drawn as nothing (fillers, variation selectors): none of it can be seen, all of it can deceive.
const INVISIBLE = /[\p{C}\p{Default_Ignorable_Code_Point}]/gu

// The blank Braille pattern counts as a symbol and looks like a space.
const SPACES = /[\s\u2800]+/gu

// More marks on one letter than any script needs paint over the lines above and below.
const STACKED_MARKS = /(\p{M}{3})\p{M}+/gu

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

/**
 * One line of text of bounded length that shows what it holds: no control, bidi or invisible characters, compatibility
 * forms folded (NFKC). It is not escaped: JSX does that.
 *
 * @param max length of the result in UTF-16 units; a longer text ends in an ellipsis
 */
export function displayText(text: string, max: number): string {
  // A bound before the work: normalising may make eighteen characters of one.
  const visible = text
    .slice(0, max * 20)
    .replace(SPACES, ' ')
    .replace(INVISIBLE, '')
    .normalize('NFKC')
    .replace(SPACES, ' ')
    .replace(INVISIBLE, '')
    .replace(STACKED_MARKS, '$1')
    .trim()
  return visible.length <= max ? visible : truncate(visible, max)
}

/** A client's name as it may be shown to a person; attack 98. At most 80 UTF-16 units, never empty. */
export function displayName(text: string): string {
  return displayText(text, MAX_NAME_LENGTH) || UNNAMED
}

/**
 * A host as it may be shown to a person: in ASCII, so that `аpple.com` with a Cyrillic letter shows its punycode. Of one
 * that is too long the end is kept: it says whose host it is.
 */
export function displayHost(host: string): string {
  const ascii = (/^[\x21-\x7e]*$/.test(host) ? host : domainToASCII(host) || host).replace(/[^\x21-\x7e]/gu, '?')
  return ascii.length <= MAX_HOST_LENGTH ? ascii : `…${ascii.slice(1 - MAX_HOST_LENGTH)}`
}

const times = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })

/** To the minute, in UTC: without script the page does not know where its reader is. */
export function timeText(at: Date): string {
  return `${times.format(at)} UTC`
}

/** The link if a browser would open a web page by it, else undefined: `javascript:` is never a link. Attack 127. */
export function webHref(href: string): string | undefined {
  const base = 'https://relative.invalid/'
  if (!URL.canParse(href, base)) return undefined
  const url = new URL(href, base)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined
  // https://bank.example@evil.example/ is a link to evil.example.
  if (url.username || url.password) return undefined
  return href
}

function truncate(text: string, max: number): string {
  let kept = ''
  for (const { segment } of graphemes.segment(text)) {
    if (kept.length + segment.length >= max) break
    kept += segment
  }
  return `${kept.trimEnd()}…`
}

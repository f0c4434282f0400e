import t from 'tap'
import { palettes, style } from '../../../src/ui/style.js'

/** WCAG 2.2, relative luminance of `#rrggbb`. */
function luminance(color: string): number {
  const channels = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255)
  const [r = 0, g = 0, b = 0] = channels.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (light + 0.05) / (dark + 0.05)
}

const TEXT = [
  ['ink', 'surface'],
  ['ink', 'inset'],
  ['ink', 'noticeGround'],
  ['muted', 'surface'],
  ['link', 'surface'],
  ['link', 'inset'],
  ['onAccent', 'accent'],
  ['onAccent', 'accentHover'],
  ['danger', 'dangerGround'],
] as const

const CONTROLS = [
  ['edge', 'surface'],
  ['edge', 'noticeGround'],
  ['accent', 'surface'],
  ['danger', 'surface'],
  ['focus', 'surface'],
  ['focus', 'inset'],
  ['focus', 'ground'],
] as const

t.test('the contrast measure is the one of WCAG', async (t) => {
  t.equal(contrast('#000000', '#ffffff'), 21)
  t.equal(contrast('#777777', '#ffffff').toFixed(2), '4.48')
})

for (const theme of ['light', 'dark'] as const) {
  const palette = palettes[theme]

  t.test(`WCAG 2.2 §1.4.3: text has a contrast of 4.5, ${theme}`, async (t) => {
    for (const [front, back] of TEXT) {
      const ratio = contrast(palette[front], palette[back])
      t.ok(ratio >= 4.5, `${front} on ${back}: ${ratio.toFixed(2)}`)
    }
  })

  t.test(`WCAG 2.2 §1.4.11: controls and focus have a contrast of 3, ${theme}`, async (t) => {
    for (const [front, back] of CONTROLS) {
      const ratio = contrast(palette[front], palette[back])
      t.ok(ratio >= 3, `${front} on ${back}: ${ratio.toFixed(2)}`)
    }
  })
}

t.test('the style sheet loads nothing and stands in a page unescaped', async (t) => {
  t.notMatch(style, /url\(|@import|https?:|expression/i)
  t.notMatch(style, /["&<>]/)
  t.equal((style.match(/\{/g) ?? []).length, (style.match(/\}/g) ?? []).length)
})

t.test('the style sheet follows what the reader set', async (t) => {
  for (const query of [
    'prefers-color-scheme: dark',
    'prefers-reduced-motion',
    'prefers-contrast',
    'forced-colors',
    'print',
  ])
    t.match(style, query)
  // Nothing moves unless the reader is content with motion.
  t.equal(style.indexOf('transition'), style.lastIndexOf('transition'))
  t.ok(style.indexOf('transition') > style.indexOf('prefers-reduced-motion: no-preference'))
})

t.test('focus is always visible', async (t) => {
  t.match(style, /:focus-visible \{ outline: 3px solid/)
})

/** The colours of a theme. A test computes the contrast of every pair that meets on a page (WCAG 2.2 §1.4.3, §1.4.11). */
interface Palette {
  /** Behind everything. */
  readonly ground: string
  /** The card. */
  readonly surface: string
  /** A block inside the card. */
  readonly inset: string
  readonly ink: string
  readonly muted: string
  /** Lines that only divide. */
  readonly line: string
  /** Lines that say where a control is. */
  readonly edge: string
  readonly accent: string
  readonly accentHover: string
  readonly onAccent: string
  readonly link: string
  readonly focus: string
  readonly danger: string
  readonly dangerGround: string
  readonly noticeGround: string
}

export const palettes: { readonly light: Palette; readonly dark: Palette } = {
  light: {
    ground: '#f3f2ee',
    surface: '#ffffff',
    inset: '#f7f6f3',
    ink: '#1c1d1a',
    muted: '#5b5d56',
    line: '#e2e0d9',
    edge: '#85877e',
    accent: '#1f5645',
    accentHover: '#174236',
    onAccent: '#ffffff',
    link: '#1a5a47',
    focus: '#1b62c4',
    danger: '#9b2417',
    dangerGround: '#fdf0ed',
    noticeGround: '#fbf5e3',
  },
  dark: {
    ground: '#131513',
    surface: '#1d201d',
    inset: '#252925',
    ink: '#ecebe5',
    muted: '#adafa6',
    line: '#363a35',
    edge: '#7e837a',
    accent: '#8fd0b2',
    accentHover: '#a9e0c6',
    onAccent: '#10261c',
    link: '#93d3b6',
    focus: '#8cb8ff',
    danger: '#ffb4a6',
    dangerGround: '#3a1f1a',
    noticeGround: '#342d18',
  },
}

const variables = (palette: Palette): string =>
  Object.entries(palette)
    .map(([name, value]) => `--${name}:${value}`)
    .join(';')

// Selectors use neither quotes, ampersands nor angle brackets: so the text stands in <style> unchanged by escaping.
const source = `
:root { color-scheme: light dark; ${variables(palettes.light)} }
@media (prefers-color-scheme: dark) { :root { ${variables(palettes.dark)} } }

*, ::before, ::after { box-sizing: border-box }
html {
  font: 100%/1.55 -apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, 'Noto Sans', 'Helvetica Neue', Arial, sans-serif;
  -webkit-text-size-adjust: 100%;
  text-size-adjust: 100%;
  background: var(--surface);
  color: var(--ink);
}
body { margin: 0; min-height: 100vh; min-height: 100dvh; display: flex; flex-direction: column; overflow-wrap: anywhere }
h1, h2, h3, p, ul, dl, dd, fieldset, pre, table { margin: 0; padding: 0 }
h1 { font-size: 1.625rem; line-height: 1.25; font-weight: 650; letter-spacing: -.015em; text-wrap: balance }
h2 { font-size: 1.0625rem; line-height: 1.4; font-weight: 650 }
h3 { font-size: 1rem; line-height: 1.5; font-weight: 400 }
strong { font-weight: 600 }
ul { list-style: none }
a { color: var(--link); text-underline-offset: .2em; text-decoration-thickness: 1px }
a:hover { text-decoration-thickness: 2px }
svg { display: block; flex: none }
code, pre {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace;
  font-size: .875em;
}
:focus { outline: none }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: .25rem }

.card { width: 100%; padding: 1.5rem 1.25rem 2.5rem }
.brand { display: flex; align-items: center; gap: .5rem; margin-bottom: 2rem; font-weight: 600; letter-spacing: -.005em }
.brand svg { color: var(--accent) }
main { display: grid; gap: 1.25rem }
.stack { display: grid; gap: 1rem }
.stack-s { display: grid; gap: .375rem }
.lead { font-size: 1.0625rem }
.logo { max-width: 4rem; max-height: 4rem }
.muted { color: var(--muted) }
.small { font-size: .875rem; line-height: 1.5 }
.hidden {
  position: absolute; width: 1px; height: 1px; margin: -1px; padding: 0; border: 0;
  overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
.select { user-select: all; -webkit-user-select: all }

.alert { padding: .875rem 1rem; border-radius: .625rem; border-left: 4px solid currentColor; background: var(--dangerGround); color: var(--danger) }
.notice { padding: .875rem 1rem; border-radius: .625rem; border-left: 4px solid var(--edge); background: var(--noticeGround) }

form { display: grid; gap: 1.125rem }
.field { display: grid; gap: .375rem }
.field label { font-weight: 600; font-size: .9375rem }
.field input {
  width: 100%; min-height: 3rem; padding: .625rem .875rem; border: 1px solid var(--edge); border-radius: .625rem;
  background: var(--surface); color: inherit; font: inherit;
}
.field input:hover { border-color: var(--ink) }
.field input[aria-invalid=true] { border-color: var(--danger) }
.field input:focus { border-color: var(--focus); outline: 2px solid var(--focus); outline-offset: 0; border-radius: .625rem }

.button {
  display: inline-flex; align-items: center; justify-content: center; min-height: 3rem; padding: .625rem 1.25rem;
  border: 1px solid var(--edge); border-radius: .625rem; background: transparent; color: inherit;
  font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer;
}
.button:hover { border-color: var(--ink); background: var(--inset) }
.button.primary { border-color: var(--accent); background: var(--accent); color: var(--onAccent) }
.button.primary:hover { border-color: var(--accentHover); background: var(--accentHover) }
.button.danger { border-color: var(--danger); background: var(--danger); color: var(--surface) }
.button.danger:hover { border-color: var(--ink) }
.button:focus-visible { border-radius: .625rem }
.actions { display: grid; gap: .75rem }
.actions.pair { grid-template-columns: 1fr 1fr }
.plain {
  min-height: 2.75rem; padding: 0; border: 0; background: none; color: var(--link); font: inherit; font-size: .9375rem;
  text-align: left; text-decoration: underline; text-decoration-thickness: 1px; text-underline-offset: .2em; cursor: pointer;
}
.plain:hover { text-decoration-thickness: 2px }

.links { display: flex; flex-wrap: wrap; gap: .125rem 1.25rem }
.links a { display: inline-block; padding: .25rem 0 }

.account {
  display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .25rem 1.5rem;
  padding: .75rem 1rem; border-radius: .625rem; background: var(--inset);
}
.account form { display: block }

fieldset { min-width: 0; border: 0 }
legend { padding: 0; margin-bottom: .25rem; font-size: 1rem; font-weight: 600 }
.scopes li + li { border-top: 1px solid var(--line) }
.scope { display: grid; grid-template-columns: 1.375rem 1fr; gap: .75rem; align-items: start; padding: .75rem 0; min-height: 2.75rem }
label.scope { cursor: pointer }
.scope input { width: 1.25rem; height: 1.25rem; margin: .125rem 0 0; accent-color: var(--accent); cursor: inherit }
.scope svg { margin-top: .125rem; color: var(--muted) }
.required { display: flex; align-items: center; gap: .25rem; color: var(--muted) }
.required svg { margin: 0 }

.field-error { color: var(--danger); font-weight: 600; font-size: .9375rem }
.optional { font-weight: 400; color: var(--muted) }
.block-line { display: block }
.end { color: var(--danger) }

.tabs { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; border-bottom: 1px solid var(--line) }
.tabs a { display: inline-flex; align-items: center; min-height: 2.75rem; border-bottom: 3px solid transparent; text-decoration: none }
.tabs a[aria-current] { border-bottom-color: var(--accent); color: inherit; font-weight: 600 }
.heading { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .75rem 1.5rem }
.keys .key { display: grid; gap: .75rem; padding: 1.25rem 0; border-top: 1px solid var(--line) }
.badge { display: inline-block; padding: 0 .625rem; border: 1px solid var(--edge); border-radius: 1rem; font-size: .875rem; line-height: 1.75 }
.badge.live { border-color: var(--accent); background: var(--accent); color: var(--onAccent) }
.badge.exposed { border-color: var(--danger); color: var(--danger) }
.badges { display: inline-flex; flex-wrap: wrap; gap: .25rem }
.secret { display: block; padding: 1rem; border: 2px solid var(--accent); border-radius: .625rem; background: var(--inset); font-size: 1rem; line-height: 1.6; overflow-wrap: anywhere }
.steps { display: flex; flex-wrap: wrap; gap: .75rem }

.facts { display: grid; gap: .875rem }
.facts dt { font-size: .875rem; color: var(--muted) }
.facts a { display: inline-block; padding: .25rem 0 }

table { width: 100%; border-collapse: collapse; table-layout: fixed }
caption { padding-bottom: .5rem; text-align: left; font-weight: 600 }
th, td { padding: .75rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top; font-weight: 400 }
th { padding-right: 1rem }
th code { display: block; font-weight: 600 }
.names { width: 6.75rem }
td .small { display: block; margin-top: .125rem }
.value { display: block; white-space: pre-wrap }
summary { min-height: 2.75rem; padding: .625rem 0; color: var(--link); cursor: pointer }
.block { padding: .875rem 1rem; border-radius: .625rem; background: var(--inset) }
pre.block { line-height: 1.6; white-space: pre-wrap }
.section { display: grid; gap: .75rem; padding-top: 1.5rem; border-top: 1px solid var(--line) }
.links.section, .steps.section { display: flex }
.links.section { gap: .125rem 1.25rem }

@media (min-width: 34rem) {
  html { background: var(--ground) }
  body { align-items: center; padding: 2.5rem 1.5rem }
  .card {
    max-width: 28rem; margin: auto; padding: 2rem 2.25rem 2.25rem; border: 1px solid var(--line); border-radius: 1rem;
    background: var(--surface); box-shadow: 0 1px 2px rgb(0 0 0/.04), 0 12px 32px rgb(0 0 0/.06);
  }
  .card.wide { max-width: 46rem; padding: 2.5rem 3rem 3rem }
  .names { width: 9rem }
  .facts.pairs { grid-template-columns: 1fr 1fr; gap: .875rem 1.5rem }
}
@media (prefers-reduced-motion: no-preference) {
  .button, .field input { transition: background-color .12s, border-color .12s }
}
@media (prefers-contrast: more) {
  :root { --muted: var(--ink); --line: var(--edge); --edge: var(--ink) }
}
@media (forced-colors: active) {
  .alert, .notice, .block, .account, .badge, .tabs a[aria-current] { border: 1px solid CanvasText }
}
@media print {
  :root { color-scheme: light; ${variables(palettes.light)} }
  html { background: none }
  .card { max-width: none; margin: 0; padding: 0; border: 0; box-shadow: none }
  button, input, .actions, .plain, .brand svg { display: none }
}
`

/** The style sheet of every page, put inline under the nonce of its Content-Security-Policy. */
export const style: string = source.replace(/\n\s*/g, ' ').trim()

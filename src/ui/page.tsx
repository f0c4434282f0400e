import { type ComponentChildren, createContext, type VNode } from 'preact'
import { useContext } from 'preact/hooks'
import { renderToString } from 'preact-render-to-string'
import { Mark } from './mark.js'
import { palettes, style } from './style.js'

const Nonce = createContext('')

export interface PageProps {
  /** Shown by the tab and read first by a screen reader; plain text. */
  readonly title: string
  readonly children: ComponentChildren
  /** For pages that are read rather than filled in. */
  readonly wide?: boolean
}

/** What all pages share: the document, its style and the brand. It loads nothing and runs no script. */
export function Page({ title, children, wide = false }: PageProps) {
  const nonce = useContext(Nonce)
  return (
    <html lang="en" dir="ltr">
      <head>
        <meta charset="utf-8" />
        <title>{`${title} · Ostiary`}</title>
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="theme-color" media="(prefers-color-scheme: light)" content={palettes.light.surface} />
        <meta name="theme-color" media="(prefers-color-scheme: dark)" content={palettes.dark.surface} />
        <meta name="referrer" content="no-referrer" />
        <meta name="robots" content="noindex" />
        <meta name="format-detection" content="telephone=no, date=no, address=no, email=no" />
        <style nonce={nonce}>{style}</style>
      </head>
      <body>
        <div class={wide ? 'card wide' : 'card'}>
          <header class="brand">
            <Mark />
            <span>Ostiary</span>
          </header>
          <main>{children}</main>
        </div>
      </body>
    </html>
  )
}

/** Sends the form of the page, where scripts run. It says nothing of what the form holds. */
export function SubmitItself() {
  return <script nonce={useContext(Nonce)}>document.forms[0].submit()</script>
}

/**
 * The whole document as text. What the page prints is escaped, whoever wrote it; attack 127.
 *
 * @param page one whose outermost element is `Page`
 * @param options the nonce is the one of `style-src` in the answer's Content-Security-Policy
 */
export function renderPage(page: VNode, options: { readonly nonce: string }): string {
  return `<!doctype html>${renderToString(<Nonce.Provider value={options.nonce}>{page}</Nonce.Provider>)}`
}

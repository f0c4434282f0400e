/** What examples/README.md says about one of them. */
export interface DocumentedExample {
  /** Arguments of `npm run -s ostiary --`, in the order in which they are to be run. */
  readonly commands: readonly (readonly string[])[]
  /** Arguments of `node`. */
  readonly program: readonly string[]
  /** What it is started with; a secret, which is the reader's own, is `…`. */
  readonly env: Readonly<Record<string, string>>
}

export function readExample(name: string): DocumentedExample

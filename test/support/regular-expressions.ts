import ts from 'typescript'

/** A part of a regular expression. What matches one character keeps its own source, and is asked of the real engine. */
type Node =
  | {
      readonly kind: 'character'
      readonly matches: (character: string) => boolean
      readonly examples: readonly string[]
    }
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'choice'; readonly options: readonly Node[] }
  | { readonly kind: 'repeat'; readonly body: Node; readonly min: number; readonly max: number; readonly lazy: boolean }
  | { readonly kind: 'start' | 'end' | 'boundary' | 'no boundary' }
  | { readonly kind: 'look'; readonly body: Node; readonly negative: boolean }

const candidates = [...Array(0x250).keys()]
  .map((code) => String.fromCodePoint(code))
  .concat(['\u2028', '\u200b', '\ud800', '\ufffd', '\u{1f600}', '中'])

/** Reads what our sources use: no backreference and no lookbehind. @throws for anything else */
function parse({ source, flags }: RegExp): Node {
  const isUnicode = /[uv]/.test(flags)
  let at = 0

  function choice(): Node {
    const options = [sequence()]
    while (source[at] === '|') {
      at++
      options.push(sequence())
    }
    return options.length === 1 && options[0] ? options[0] : { kind: 'choice', options }
  }

  function sequence(): Node {
    const parts: Node[] = []
    while (at < source.length && source[at] !== '|' && source[at] !== ')') parts.push(quantified())
    return { kind: 'sequence', parts }
  }

  function quantified(): Node {
    const body = atom()
    const [text = '', min = '', comma, max = ''] = /^(?:[*+?]|\{(\d+)(?:(,)(\d*))?\})/.exec(source.slice(at)) ?? []
    if (text === '') return body
    at += text.length
    const lazy = source[at] === '?'
    if (lazy) at++
    if (text === '*') return { kind: 'repeat', body, min: 0, max: Infinity, lazy }
    if (text === '+') return { kind: 'repeat', body, min: 1, max: Infinity, lazy }
    if (text === '?') return { kind: 'repeat', body, min: 0, max: 1, lazy }
    const most = comma === undefined ? Number(min) : max === '' ? Infinity : Number(max)
    return { kind: 'repeat', body, min: Number(min), max: most, lazy }
  }

  function atom(): Node {
    const rest = source.slice(at)
    if (rest.startsWith('(')) {
      const [open = ''] = /^\((?:\?(?:[:=!]|<(?![=!])[^>]+>))?/.exec(rest) ?? []
      if (rest.startsWith('(?') && open === '(') throw new Error(`not read: ${rest.slice(0, 4)}`)
      at += open.length
      const body = choice()
      at++
      if (open === '(?=' || open === '(?!') return { kind: 'look', body, negative: open === '(?!' }
      return body
    }
    if (rest.startsWith('^') || rest.startsWith('$')) {
      at++
      return { kind: rest.startsWith('^') ? 'start' : 'end' }
    }
    if (/^\\[bB]/.test(rest)) {
      at += 2
      return { kind: rest[1] === 'b' ? 'boundary' : 'no boundary' }
    }
    if (/^\\(?:[1-9]|k<)/.test(rest)) throw new Error('a backreference is not read')
    const [text = ''] =
      /^(?:\[(?:\\.|[^\\\]])*\]|\\[pP]\{[^}]*\}|\\u\{[^}]*\}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\.|[\s\S])/u.exec(
        rest,
      ) ?? []
    at += text.length
    const single = new RegExp(`^(?:${text})$`, flags.replace(/[gym]/g, ''))
    const known = new Map<string, boolean>()
    const matches = (character: string): boolean => {
      let answer = known.get(character)
      if (answer === undefined) {
        answer = single.test(character)
        known.set(character, answer)
      }
      return answer
    }
    const examples = candidates.filter((character) => (isUnicode || character.length === 1) && matches(character))
    return {
      kind: 'character',
      matches,
      examples: [...new Set([examples[0], examples.at(-1)])].filter((c) => c !== undefined),
    }
  }

  const root = choice()
  if (at < source.length) throw new Error(`not read: ${source.slice(at)}`)
  return root
}

/** More steps than a text of these lengths could need. */
const tooMany = 500_000

/**
 * How many steps a backtracking engine takes to search the text, as V8's does where it is not clever.
 *
 * @returns the number of steps and whether the expression matched
 */
function search(root: Node, { flags }: RegExp, text: string): { readonly steps: number; readonly found: boolean } {
  const characters = /[uv]/.test(flags) ? [...text] : text.split('')
  const isMultiline = flags.includes('m')
  let steps = 0

  const isWord = (index: number): boolean => /^\w$/.test(characters[index] ?? '')
  const isBreak = (index: number): boolean => isMultiline && characters[index] === '\n'

  function match(node: Node, at: number, next: (at: number) => boolean): boolean {
    if (++steps > tooMany) return true
    switch (node.kind) {
      case 'character': {
        const character = characters[at]
        return character !== undefined && node.matches(character) && next(at + 1)
      }
      case 'sequence': {
        const from = (index: number, position: number): boolean => {
          const part = node.parts[index]
          return part ? match(part, position, (after) => from(index + 1, after)) : next(position)
        }
        return from(0, at)
      }
      case 'choice':
        return node.options.some((option) => match(option, at, next))
      case 'repeat':
        return repeat(node, at, next)
      case 'start':
        return (at === 0 || isBreak(at - 1)) && next(at)
      case 'end':
        return (at === characters.length || isBreak(at)) && next(at)
      case 'boundary':
        return isWord(at - 1) !== isWord(at) && next(at)
      case 'no boundary':
        return isWord(at - 1) === isWord(at) && next(at)
      case 'look':
        return match(node.body, at, () => true) !== node.negative && next(at)
    }
  }

  function repeat(node: Extract<Node, { kind: 'repeat' }>, at: number, next: (at: number) => boolean): boolean {
    const { body, min, max, lazy } = node
    // One character at a time needs no recursion, as in a real engine.
    if (body.kind === 'character' && !lazy) {
      let end = at
      while (end - at < max && end < characters.length && body.matches(characters[end] ?? '')) {
        steps++
        end++
      }
      for (; end - at >= min; end--) {
        if (++steps > tooMany || next(end)) return true
      }
      return false
    }
    const again = (count: number, position: number): boolean => {
      const more = (): boolean =>
        count < max && match(body, position, (after) => (after > position || count < min) && again(count + 1, after))
      if (count < min) return more()
      return lazy ? next(position) || more() : more() || next(position)
    }
    return again(0, at)
  }

  const starts = flags.includes('y') ? 1 : characters.length + 1
  for (let start = 0; start < starts; start++) {
    if (match(root, start, () => true)) return { steps, found: steps <= tooMany }
    if (steps > tooMany) break
  }
  return { steps, found: false }
}

/** A text that the part matches; different choices give different ones. */
function sample(node: Node, choice: number): string {
  switch (node.kind) {
    case 'character':
      return node.examples[choice % node.examples.length] ?? ''
    case 'sequence':
      return node.parts.map((part) => sample(part, choice)).join('')
    case 'choice':
      return sample(node.options[choice % node.options.length] ?? { kind: 'start' }, choice)
    case 'repeat':
      return sample(node.body, choice).repeat(Math.max(node.min, Math.min(1, node.max)))
    default:
      return ''
  }
}

/** A part that may be repeated often, with what stands before it. */
interface Pump {
  readonly prefix: string
  readonly text: string
}

function pumpsOf(node: Node, prefix: string): readonly Pump[] {
  switch (node.kind) {
    case 'sequence':
      return node.parts.flatMap((part, index) =>
        pumpsOf(
          part,
          prefix +
            node.parts
              .slice(0, index)
              .map((each) => sample(each, 0))
              .join(''),
        ),
      )
    case 'choice':
      return node.options.flatMap((option) => pumpsOf(option, prefix))
    case 'look':
      return pumpsOf(node.body, prefix)
    case 'repeat': {
      const inner = pumpsOf(node.body, prefix)
      if (node.max < 50) return inner
      const texts = new Set([0, 1, 2, 3].map((choice) => sample(node.body, choice)).filter((text) => text !== ''))
      return [...inner, ...[...texts].map((text) => ({ prefix, text }))]
    }
    default:
      return []
  }
}

/** Texts that make a backtracking engine try whatever can be tried: repetitions, and an end that fits nothing. */
function adversarial(root: Node, length: number): readonly string[] {
  const pumps = pumpsOf(root, '')
  const ends = ['', '\0', '!', '\u2028', 'a', ' ', '"']
  const singles = pumps.flatMap(({ prefix, text }) => {
    const repeated = text.repeat(length)
    return ends.flatMap((end) => [prefix + repeated + end, repeated + end])
  })
  const pairs = pumps.flatMap(({ prefix, text }) =>
    pumps.map((other) => `${prefix}${text.repeat(length / 2)}${other.text.repeat(length / 2)}\0`),
  )
  return [...new Set([...singles, ...pairs, 'a'.repeat(length), ' '.repeat(length), `${'a '.repeat(length / 2)}\0`])]
}

export interface Cost {
  /** How the number of steps grows when the text is twice as long: 2 is linear, 4 quadratic, more is a trap. */
  readonly growth: number
  /** The text that costs most. */
  readonly worst: string
}

/**
 * What the expression costs at worst, over texts that are made to be costly for it.
 *
 * @throws when our model of the engine and the engine itself disagree about a match
 */
export function costOf(expression: RegExp): Cost {
  const root = parse(expression)
  const native = new RegExp(expression.source, expression.flags.replace(/[gy]/g, '') + (expression.sticky ? 'y' : ''))
  let cost: Cost = { growth: 1, worst: '' }
  const short = adversarial(root, 64)
  const long = adversarial(root, 128)
  for (const [index, text] of long.entries()) {
    const { steps, found } = search(root, expression, text)
    // What takes for ever here would take for ever there.
    if (steps > tooMany) return { growth: Infinity, worst: text }
    if (native.test(text) !== found) throw new Error(`the model is wrong about ${expression}`)
    const half = search(root, expression, short[index] ?? '').steps
    // What is cheap altogether need not be compared.
    const growth = steps < 2_000 ? 1 : steps / Math.max(1, half)
    if (growth > cost.growth) cost = { growth, worst: text }
  }
  return cost
}

export interface FoundExpression {
  /** Undefined where it is made at run time of what is not written there. */
  readonly expression: RegExp | undefined
  readonly line: number
}

/** All regular expressions of a source, as TypeScript's own parser finds them. */
export function expressionsIn(fileName: string, text: string): readonly FoundExpression[] {
  const file = ts.createSourceFile(fileName, text, ts.ScriptTarget.Latest, true)
  const found: FoundExpression[] = []
  const lineOf = (node: ts.Node): number => file.getLineAndCharacterOfPosition(node.getStart()).line + 1
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/')
      found.push({ expression: new RegExp(node.text.slice(1, end), node.text.slice(end + 1)), line: lineOf(node) })
    }
    if ((ts.isNewExpression(node) || ts.isCallExpression(node)) && node.expression.getText() === 'RegExp') {
      const [source] = node.arguments ?? []
      const isWritten = source && ts.isStringLiteralLike(source)
      found.push({ expression: isWritten ? new RegExp(source.text) : undefined, line: lineOf(node) })
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

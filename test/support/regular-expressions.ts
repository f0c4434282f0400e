import ts from 'typescript'

/** A regular expression as it stands in a source. */
export interface FoundExpression {
  readonly line: number
  /** Undefined where it is put together at run time: its text is not written there. */
  readonly written: { readonly source: string; readonly flags: string } | undefined
}

/** Methods of strings that make a regular expression of a string. */
const compiling = ['match', 'matchAll', 'search']

/**
 * All regular expressions of a source, as TypeScript's own parser finds them: literals, whatever else says `RegExp` as a
 * value, strings that a method takes for one, and `pattern`s of JSON Schema and of HTML.
 */
export function expressionsIn(fileName: string, text: string): readonly FoundExpression[] {
  const file = ts.createSourceFile(fileName, text, ts.ScriptTarget.Latest, true)
  const found: FoundExpression[] = []
  const add = (node: ts.Node, source: string | undefined, flags: string | undefined = ''): void => {
    const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1
    found.push({ line, written: source === undefined || flags === undefined ? undefined : { source, flags } })
  }

  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/')
      add(node, node.text.slice(1, end), node.text.slice(end + 1))
    } else if (ts.isIdentifier(node) && node.text === 'RegExp' && isValue(node)) {
      const [source, flags] = callOf(node)?.arguments ?? []
      // The copy of a literal is found as that literal.
      if (!source || !ts.isRegularExpressionLiteral(source)) {
        add(node, textOf(source), flags ? textOf(flags) : '')
      }
    } else if (ts.isCallExpression(node) && compiling.includes(methodOf(node) ?? '')) {
      const source = textOf(node.arguments[0])
      if (source !== undefined) add(node, source)
    } else if (ts.isPropertyAssignment(node) && nameOf(node.name) === 'pattern') {
      // Of JSON Schema, which is read with the flag u. One that is a literal is found as such.
      const value = constantOf(file, node.initializer)
      if (!ts.isRegularExpressionLiteral(value)) add(node, textOf(value), 'u')
    } else if (ts.isJsxAttribute(node) && node.name.getText() === 'pattern') {
      const { initializer } = node
      const value = initializer && ts.isJsxExpression(initializer) ? initializer.expression : initializer
      const source = textOf(value)
      add(node, source === undefined ? undefined : `^(?:${source})$`, 'v')
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

function textOf(node: ts.Node | undefined): string | undefined {
  return node && ts.isStringLiteralLike(node) ? node.text : undefined
}

/** What a name stands for that the same file declares, else the node itself. */
function constantOf(file: ts.SourceFile, node: ts.Expression): ts.Expression {
  if (!ts.isIdentifier(node)) return node
  const declared = file.statements
    .filter(ts.isVariableStatement)
    .flatMap(({ declarationList }) => declarationList.declarations)
    .find(({ name }) => ts.isIdentifier(name) && name.text === node.text)
  return declared?.initializer ?? node
}

function nameOf(name: ts.PropertyName): string | undefined {
  return ts.isIdentifier(name) || ts.isStringLiteralLike(name) ? name.text : undefined
}

function methodOf({ expression }: ts.CallExpression): string | undefined {
  return ts.isPropertyAccessExpression(expression) ? expression.name.text : undefined
}

/** Neither a type nor what `instanceof` asks for. */
function isValue({ parent }: ts.Identifier): boolean {
  if (ts.isTypeNode(parent)) return false
  return !(ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.InstanceOfKeyword)
}

function callOf(node: ts.Identifier): ts.NewExpression | ts.CallExpression | undefined {
  const { parent } = node
  return (ts.isNewExpression(parent) || ts.isCallExpression(parent)) && parent.expression === node ? parent : undefined
}

/**
 * The expression with every long bounded repetition made unbounded. It tries whatever the bounded one tries, and more: if
 * it is linear, so is the other, and automata of it are small.
 */
export function withoutLongBounds(source: string): string {
  return source.replace(/(\\.|\[(?:\\.|[^\\\]])*\])|\{(\d+)(?:,(\d*))?\}/gs, (whole, atom, min, max) => {
    if (atom !== undefined || (max === '' && Number(min) < 10) || Number(max || min) < 10) return whole
    return Number(min) === 0 ? '*' : '+'
  })
}

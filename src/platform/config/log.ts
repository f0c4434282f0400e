import { type Static, Type } from '@sinclair/typebox'

export const logVariables = Type.Object({
  level: Type.Union(
    [
      Type.Literal('fatal'),
      Type.Literal('error'),
      Type.Literal('warn'),
      Type.Literal('info'),
      Type.Literal('debug'),
      Type.Literal('trace'),
      Type.Literal('silent'),
    ],
    {
      variable: 'LOG_LEVEL',
      default: 'info',
      description:
        'The least serious level that is logged. No level ever logs a secret, token, code, cookie or password.',
    },
  ),
})

export type LogConfig = Static<typeof logVariables>

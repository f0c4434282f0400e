import { type Static, Type } from '@sinclair/typebox'

export const auditVariables = Type.Object({
  retentionDays: Type.Integer({
    variable: 'AUDIT_RETENTION_DAYS',
    default: 90,
    minimum: 1,
    maximum: 3650,
    description:
      'Days an audit event is kept. Longer than an intrusion stays unnoticed, shorter than personal data may be kept.',
  }),
})

export type AuditConfig = Static<typeof auditVariables>

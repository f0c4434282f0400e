/**
 * The SQL of what stands for all that users are shown of a client `c` that a stranger describes: the SHA-256 of its document or,
 * of one that registered itself, that of what the consent page depends on, with the origins of its redirect URIs. NULL: an
 * administrator vouches for it.
 */
export const shownHash = `
  CASE WHEN c.document_hash IS NOT NULL THEN c.document_hash
       WHEN c.self_registered THEN sha256(convert_to(jsonb_build_array(
         c.client_name, c.client_uri, c.logo_uri, c.policy_uri, c.tos_uri, c.application_type,
         c.token_endpoint_auth_method = 'none',
         (SELECT jsonb_agg(DISTINCT substring(u FROM '^[^:]+:(?://[^/?]*)?') COLLATE "C") FROM unnest(c.redirect_uris) u)
       )::text, 'UTF8')) END`

/** Scopes that include other scopes (`mcp.auth.implies`). */

/** `scopes` and all that they include, each once. */
export function withImplied(
  scopes: readonly string[],
  implies: Readonly<Record<string, readonly string[]>>,
): readonly string[] {
  const all = new Set(scopes);
  // A set visits what is added to it meanwhile.
  for (const scope of all)
    if (Object.hasOwn(implies, scope)) for (const included of implies[scope] ?? []) all.add(included);
  return all.size === scopes.length ? scopes : [...all];
}

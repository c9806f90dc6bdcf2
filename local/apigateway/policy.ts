import { isArray, isObject, type Json } from '../cloudformation/template.ts';

export type Decision = 'allow' | 'deny' | 'explicit-deny';

/**
 * What an authorizer's policy says about invoking a method: an explicit deny wins, and what isn't allowed is denied.
 * @throws Error when it is no policy
 */
export function evaluatePolicy(policy: Json, methodArn: string): Decision {
  const statements = isObject(policy) ? policy.Statement : undefined;
  const list = isArray(statements) ? statements : isObject(statements) ? [statements] : undefined;
  if (list === undefined) throw new Error('the policy document has no statements');
  let decision: Decision = 'deny';
  for (const statement of list) {
    if (!isObject(statement)) throw new Error('a statement of the policy document is no object');
    const { Effect, Action, Resource, Condition } = statement;
    if (Effect !== 'Allow' && Effect !== 'Deny') throw new Error(`a statement's effect is ${JSON.stringify(Effect)}`);
    if (Condition !== undefined) throw new Error("the local run doesn't evaluate conditions in an authorizer's policy");
    if (Action === undefined || Resource === undefined) throw new Error('a statement needs Action and Resource');
    const applies = some(Action, 'execute-api:Invoke', 'i') && some(Resource, methodArn, '');
    if (applies && Effect === 'Deny') return 'explicit-deny';
    if (applies) decision = 'allow';
  }
  return decision;
}

function some(patterns: Json, value: string, flags: string): boolean {
  return (isArray(patterns) ? patterns : [patterns]).some((pattern) => wildcard(String(pattern), flags).test(value));
}

/** `*` is any number of characters (slashes too), `?` is one. */
function wildcard(pattern: string, flags: string): RegExp {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, `s${flags}`);
}

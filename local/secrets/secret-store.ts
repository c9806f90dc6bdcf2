import type { Resource, Stack } from '../cloudformation/stack.ts';
import { isObject, type Json } from '../cloudformation/template.ts';
import { alphanumeric, derive } from '../state.ts';
import { secretVariable } from './given-values.ts';

export interface StoredSecret {
  readonly arn: string;
  readonly name: string;
  /** `undefined` for a secret that was created without a value, as on AWS. */
  readonly value: string | undefined;
}

export interface SecretStoreOptions {
  /** The same in every run: what generated values are made from. */
  readonly seed: Buffer;
  /** Values by a secret's name or ARN; they come before the template's. */
  readonly values: Readonly<Record<string, string>>;
  /** ARNs that functions refer to: secrets that may live outside of the template. */
  readonly referred?: readonly string[];
  /** Values by `secretVariable`; they come before all others. @default - none */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly account: string;
  readonly region: string;
}

/** What Secrets Manager would hold: the template's secrets, and the values that the user gave. */
export class SecretStore {
  readonly #secrets: StoredSecret[] = [];

  constructor(stacks: readonly Stack[], options: SecretStoreOptions) {
    const given = new Map(Object.entries(options.values));
    const fromEnvironment = (name: string): string | undefined => options.environment?.[secretVariable(name)];
    for (const resource of stacks.flatMap((stack) => stack.ofType('AWS::SecretsManager::Secret'))) {
      const arn = resource.ref;
      const name = nameOf(arn);
      this.#secrets.push({
        arn,
        name,
        value: fromEnvironment(name) ?? given.get(name) ?? given.get(arn) ?? templateValue(resource, options.seed),
      });
      given.delete(name);
      given.delete(arn);
    }
    for (const [id, value] of given) {
      const arn = id.startsWith('arn:')
        ? id
        : `arn:aws:secretsmanager:${options.region}:${options.account}:secret:${id}`;
      this.#secrets.push({ arn, name: nameOf(arn), value: fromEnvironment(nameOf(arn)) ?? value });
    }
    for (const arn of options.referred ?? []) {
      const value = this.find(arn) === undefined ? fromEnvironment(nameOf(arn)) : undefined;
      if (value !== undefined) this.#secrets.push({ arn, name: nameOf(arn), value });
    }
  }

  /** By name, ARN, or ARN without its random suffix (that is what a CDK import by name gives). */
  find(id: string): StoredSecret | undefined {
    const exact = this.#secrets.find((secret) => secret.arn === id || secret.name === id);
    if (exact !== undefined || !id.startsWith('arn:')) return exact;
    const name = id.split(':').slice(6).join(':');
    return this.#secrets.find(
      (secret) =>
        secret.name === name || secret.name === name.replace(SUFFIX, '') || secret.arn.replace(SUFFIX, '') === id,
    );
  }

  /** `secretsmanager:<id>:SecretString:<json key>:<version stage>:<version id>` of a dynamic reference. */
  resolve(reference: string): string | undefined {
    if (!reference.startsWith('secretsmanager:')) return undefined;
    const match = /^secretsmanager:(arn:(?:[^:]*:){5}[^:]+|[^:]+)(?::SecretString(?::([^:]*))?)?(?::[^:]*){0,2}$/.exec(
      reference,
    );
    const value = match?.[1] === undefined ? undefined : this.find(match[1])?.value;
    const key = match?.[2] ?? '';
    if (value === undefined || key === '') return value;
    const parsed: unknown = JSON.parse(value);
    return isObject(parsed) && parsed[key] !== undefined ? String(parsed[key]) : undefined;
  }
}

/** Secrets Manager appends a hyphen and six characters to the name. */
const SUFFIX = /-[A-Za-z0-9]{6}$/;

function nameOf(arn: string): string {
  return arn.split(':').slice(6).join(':').replace(SUFFIX, '');
}

function templateValue(resource: Resource, seed: Buffer): string | undefined {
  const fixed = resource.property('SecretString');
  if (fixed !== undefined) return String(fixed);
  const generate = resource.property('GenerateSecretString');
  if (!isObject(generate)) return undefined;
  const generated = generatedValue(resource, generate, seed);
  if (generate.SecretStringTemplate === undefined) return generated;
  const template: Json = JSON.parse(String(generate.SecretStringTemplate)) as Json;
  if (!isObject(template)) throw new Error(`${resource.logicalId}: SecretStringTemplate is no JSON object`);
  return JSON.stringify({ ...template, [String(generate.GenerateStringKey)]: generated });
}

/** Letters and digits only, which fits each of the exclusions that a template can ask for but those of letters. */
function generatedValue(resource: Resource, generate: { readonly [key: string]: Json }, seed: Buffer): string {
  const length = Number(generate.PasswordLength ?? 32);
  const excluded = new Set(String(generate.ExcludeCharacters ?? ''));
  const value = alphanumeric(derive(seed, `secret/${resource.stackName}/${resource.logicalId}`, length * 8));
  return [...value]
    .filter((character) => !excluded.has(character))
    .slice(0, length)
    .join('');
}

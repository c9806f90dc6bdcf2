import type { Resource, Stack } from '../cloudformation/stack.ts';
import { isArray, isObject, type Json, type JsonObject } from '../cloudformation/template.ts';
import type { AccountConcurrency } from './account.ts';
import type { FunctionOptions } from './local-function.ts';

/** How many invocations run at once in one environment, whatever the template says. */
export type ComputeOverride =
  | { readonly kind: 'lambda' }
  | { readonly kind: 'managed-instances'; readonly concurrency: number };

export interface FunctionSettings {
  /** Added to each function's environment; the template's variables come first. */
  readonly environment: Readonly<Record<string, string>>;
  readonly compute?: ComputeOverride;
  readonly account?: AccountConcurrency;
  readonly maxEnvironments?: number;
  readonly log: (functionLabel: string, line: string) => void;
  /** What a variable's value is here: addresses of what runs here are others than on AWS. @default - the same */
  readonly localized?: (value: string) => string;
}

/** Lambda's quota of all environment variables together, in bytes. */
const MAX_ENVIRONMENT_BYTES = 4096;
/** Managed Instances: requests at once for each vCPU when the template says nothing, and memory for each vCPU. */
const CONCURRENCY_PER_VCPU = 64;
const MB_PER_VCPU = 2048;

/**
 * What a template's function is run with.
 * @throws Error for what can't be run here
 */
export function functionOptions(stack: Stack, resource: Resource, settings: FunctionSettings): FunctionOptions {
  const id = resource.logicalId;
  const runtime = String(resource.property('Runtime') ?? resource.property('PackageType'));
  if (!/^nodejs\d/.test(runtime)) throw new Error(`${id}: the local run can't run ${runtime} functions, only Node.js`);
  const layers = resource.property('Layers');
  if (isArray(layers) && layers.length > 0) throw new Error(`${id}: the local run doesn't know layers`);
  const memoryMb = Number(resource.property('MemorySize') ?? 128);
  const reserved = resource.property('ReservedConcurrentExecutions');
  const concurrency = concurrencyOf(resource, memoryMb, settings.compute);
  const label = labelOf(resource);
  const limits = [reserved === undefined ? undefined : Number(reserved), settings.maxEnvironments];
  return {
    name: resource.ref,
    arn: `arn:aws:lambda:${stack.region}:${stack.account}:function:${resource.ref}`,
    codeDir: codeFolder(stack, resource),
    handler: String(resource.required('Handler')),
    runtime,
    region: stack.region,
    environment: { ...settings.environment, ...localizedVariables(resource, settings) },
    memoryMb: concurrency === undefined ? memoryMb : Math.max(memoryMb, MB_PER_VCPU),
    // Seconds; Lambda's default.
    timeoutMs: Number(resource.property('Timeout') ?? 3) * 1000,
    ...(concurrency === undefined ? {} : { concurrency, multiConcurrent: true }),
    maxEnvironments: Math.min(...limits.flatMap((limit) => limit ?? []), Number.POSITIVE_INFINITY),
    logFormat: String(object(resource.property('LoggingConfig')).LogFormat ?? 'Text'),
    log: (line) => settings.log(label, line),
    ...(settings.account === undefined ? {} : { account: settings.account }),
  };
}

/** The last part of the construct path that says something. */
export function labelOf(resource: Resource): string {
  const parts = resource.path.split('/').filter((part) => part !== 'Resource');
  return parts.at(-1) ?? resource.logicalId;
}

/** The template's environment variables. @throws Error when they are more than Lambda takes */
export function variablesOf(resource: Resource): Record<string, string> {
  const { Variables } = object(resource.property('Environment'));
  const entries = Object.entries(object(Variables)).map(([name, value]) => [name, String(value)] as const);
  const bytes = entries.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0);
  if (bytes > MAX_ENVIRONMENT_BYTES) {
    throw new Error(
      `${resource.logicalId}: environment variables of ${bytes} bytes, Lambda takes ${MAX_ENVIRONMENT_BYTES}`,
    );
  }
  return Object.fromEntries(entries);
}

function localizedVariables(resource: Resource, { localized = (value) => value }: FunctionSettings) {
  return Object.fromEntries(Object.entries(variablesOf(resource)).map(([name, value]) => [name, localized(value)]));
}

function codeFolder(stack: Stack, resource: Resource): string {
  const code = object(resource.required('Code'));
  const folder = code.S3Key === undefined ? undefined : stack.asset(String(code.S3Key));
  if (folder === undefined) throw new Error(`${resource.logicalId}: its code is no asset of the assembly`);
  return folder;
}

/** `undefined`: one request at a time. */
function concurrencyOf(
  resource: Resource,
  memoryMb: number,
  override: ComputeOverride | undefined,
): number | undefined {
  if (override?.kind === 'lambda') return undefined;
  if (override?.kind === 'managed-instances') return override.concurrency;
  // Evaluated as little as possible: the provider's subnets and instances are nothing here.
  const provider = object(resource.property('CapacityProviderConfig'));
  const config = provider.LambdaManagedInstancesCapacityProviderConfig;
  if (config === undefined) return undefined;
  const perEnvironment = object(config).PerExecutionEnvironmentMaxConcurrency;
  const vcpus = Math.max(1, Math.floor(memoryMb / MB_PER_VCPU));
  return perEnvironment === undefined ? CONCURRENCY_PER_VCPU * vcpus : Number(perEnvironment);
}

function object(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

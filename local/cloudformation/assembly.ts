import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isObject, type Template } from './template.ts';

/** What `cdk synth` wrote. */
export interface Assembly {
  readonly stacks: readonly AssemblyStack[];
}

export interface AssemblyStack {
  readonly name: string;
  readonly template: Template;
  readonly account: string;
  readonly region: string;
  /** Folder or file of an asset by the object key under which a deployment would upload it. */
  readonly assets: ReadonlyMap<string, string>;
}

/** For stacks that aren't bound to an account or a region. */
const ACCOUNT = '000000000000';
const REGION = 'us-east-1';

/** @throws Error when the folder holds no cloud assembly */
export function readAssembly(folder: string, region = REGION): Assembly {
  const manifest = readJson(join(folder, 'manifest.json'), `${folder} holds no cloud assembly (cdk synth writes one)`);
  const stacks: AssemblyStack[] = [];
  for (const [id, artifact] of Object.entries(record(manifest, 'artifacts'))) {
    if (!isObject(artifact)) continue;
    const properties = record(artifact, 'properties');
    if (artifact.type === 'cdk:cloud-assembly') {
      stacks.push(...readAssembly(join(folder, String(properties.directoryName)), region).stacks);
    }
    if (artifact.type !== 'aws:cloudformation:stack') continue;
    const [, account, stackRegion] = /^aws:\/\/([^/]+)\/(.+)$/.exec(String(artifact.environment)) ?? [];
    const template = readJson(join(folder, String(properties.templateFile)), `the template of ${id} is missing`);
    if (!isObject(template.Resources)) throw new Error(`the template of ${id} has no resources`);
    stacks.push({
      name: String(properties.stackName ?? id),
      template: template as unknown as Template,
      account: account === undefined || account === 'unknown-account' ? ACCOUNT : account,
      region: stackRegion === undefined || stackRegion === 'unknown-region' ? region : stackRegion,
      assets: assetsOf(folder, artifact, record(manifest, 'artifacts')),
    });
  }
  return { stacks };
}

function assetsOf(
  folder: string,
  stack: Record<string, unknown>,
  artifacts: Record<string, unknown>,
): Map<string, string> {
  const assets = new Map<string, string>();
  for (const dependency of Array.isArray(stack.dependencies) ? stack.dependencies : []) {
    const artifact = artifacts[String(dependency)];
    if (!isObject(artifact) || artifact.type !== 'cdk:asset-manifest') continue;
    const file = String(record(artifact, 'properties').file);
    const manifest = readJson(join(folder, file), `the asset manifest ${file} is missing`);
    for (const asset of Object.values(record(manifest, 'files'))) {
      if (!isObject(asset)) continue;
      const path = join(folder, String(record(asset, 'source').path));
      for (const destination of Object.values(record(asset, 'destinations'))) {
        if (isObject(destination)) assets.set(String(destination.objectKey), path);
      }
    }
  }
  return assets;
}

function readJson(file: string, missing: string): Record<string, unknown> {
  if (!existsSync(file)) throw new Error(missing);
  const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (!isObject(parsed)) throw new Error(`${file} is not a JSON object`);
  return parsed;
}

function record(owner: Record<string, unknown>, key: string): Record<string, unknown> {
  const value = owner[key];
  return isObject(value) ? value : {};
}

import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CONSUMERS_ENV, loadConfig, SERVING_CONFIG_FILE, type ServingConfig } from '../../../lambda/contract/config.ts';

/**
 * What a deployment's handler would know: from its `serving-config.json`, or the folder that `cdk synth` wrote. Values
 * that are known only at deploy are made up; no route depends on them.
 *
 * @throws Error that names the path and what is wrong with it
 */
export function readServingConfig(path: string): ServingConfig {
  if (!existsSync(path))
    throw new Error(`${path} doesn't exist: run \`cdk synth\` first, or name another with --config`);
  const file = statSync(path).isDirectory() ? configFileIn(path) : path;
  const unknown = new Proxy<Record<string, string>>(
    {},
    { get: (_, name) => (name === CONSUMERS_ENV ? '' : 'https://known-at-deploy.invalid') },
  );
  try {
    return loadConfig(readFileSync(file, 'utf8'), unknown);
  } catch (error) {
    throw new Error(`${file} can't be read: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** The assembly's folder may hold what earlier syntheses wrote: only what its templates name counts. */
function configFileIn(assembly: string): string {
  const manifest = join(assembly, 'manifest.json');
  if (!existsSync(manifest))
    throw new Error(`${assembly} has no manifest.json: it isn't what \`cdk synth\` writes: name another with --config`);
  const { artifacts = {} } = JSON.parse(readFileSync(manifest, 'utf8')) as {
    artifacts?: Record<string, { type?: string; properties?: { templateFile?: string } }>;
  };
  // By gateway: the functions of its jobs have its configuration, too.
  const files = new Map<string, string>();
  for (const { properties } of Object.values(artifacts)) {
    if (properties?.templateFile === undefined) continue;
    const template = readFileSync(join(assembly, properties.templateFile), 'utf8');
    for (const [, hash] of template.matchAll(/"([0-9a-f]{64})\.zip"/g)) {
      const file = join(assembly, `asset.${hash}`, SERVING_CONFIG_FILE);
      if (!existsSync(file)) continue;
      const { metrics } = JSON.parse(readFileSync(file, 'utf8')) as Partial<ServingConfig>;
      files.set(metrics?.namespace ?? file, file);
    }
  }
  const [file, ...others] = files.values();
  if (file === undefined) throw new Error(`${assembly} has no gateway`);
  if (others.length > 0)
    throw new Error(`${assembly} has several gateways: name one with --config, of ${[...files.values()].join(', ')}`);
  return file;
}

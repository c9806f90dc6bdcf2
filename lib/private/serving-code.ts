import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import type { CfnResource } from 'aws-cdk-lib';
import { FileAssetPackaging, Lazy, Stack, Stage } from 'aws-cdk-lib';
import { Code, type CodeConfig, type ResourceBindOptions } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { SERVING_CONFIG_FILE, type ServingConfig } from './serving-config';

/**
 * A handler's bundle with the serving config beside it.
 *
 * Models and tiers may be added until synthesis, so the asset is made whenever CloudFormation's view of the function is
 * asked for, from what is known by then: each content is one asset, named by its hash. Once all is added, every
 * resolution gives the same one, and the function's version hash follows its content. (A cached lazy value would keep the
 * first view.)
 */
export class ServingCode extends Code {
  public readonly isInline = false;
  private readonly published = new Map<string, { bucketName: string; objectKey: string }>();
  private scope?: Construct;

  constructor(
    private readonly bundle: string,
    private readonly config: () => ServingConfig,
  ) {
    super();
  }

  public override bind(scope: Construct): CodeConfig {
    if (this.scope !== undefined && Stack.of(this.scope) !== Stack.of(scope)) {
      throw new Error('the code of a gateway serves one stack only');
    }
    this.scope = scope;
    return {
      s3Location: {
        bucketName: Lazy.uncachedString({ produce: () => this.publish(scope).bucketName }),
        objectKey: Lazy.uncachedString({ produce: () => this.publish(scope).objectKey }),
      },
    };
  }

  /** Tells tools (SAM, the CDK's `--hotswap`) where the code is. */
  public override bindToResource(resource: CfnResource, options: ResourceBindOptions = {}): void {
    resource.addMetadata('aws:asset:path', Lazy.uncachedString({ produce: () => this.stage(resource).path }));
    resource.addMetadata('aws:asset:is-bundled', false);
    resource.addMetadata('aws:asset:property', options.resourceProperty ?? 'Code');
  }

  private publish(scope: Construct): { bucketName: string; objectKey: string } {
    const { hash, path } = this.stage(scope);
    let location = this.published.get(hash);
    if (location === undefined) {
      location = Stack.of(scope).synthesizer.addFileAsset({
        packaging: FileAssetPackaging.ZIP_DIRECTORY,
        sourceHash: hash,
        fileName: path,
        displayName: `${scope.node.path}/Code`,
      });
      this.published.set(hash, location);
    }
    return location;
  }

  /** Puts the folder into the cloud assembly. Its name is its content, so an existing one is as good as a new one. */
  private stage(scope: Construct): { hash: string; path: string } {
    const stage = Stage.of(scope);
    if (stage === undefined) throw new Error(`${scope.node.path} is in no App or Stage`);
    const config = JSON.stringify(this.config(), undefined, 2);
    const hash = createHash('sha256').update(bundleDigest(this.bundle)).update(config).digest('hex');
    const folder = join(stage.assetOutdir, `asset.${hash}`);
    if (!existsSync(folder)) {
      // Renamed when whole: two apps may synthesize into one folder at once.
      const unfinished = `${folder}.${process.pid}`;
      mkdirSync(unfinished, { recursive: true });
      cpSync(this.bundle, unfinished, { recursive: true });
      writeFileSync(join(unfinished, SERVING_CONFIG_FILE), config);
      try {
        renameSync(unfinished, folder);
      } catch (error) {
        rmSync(unfinished, { recursive: true, force: true });
        if (!existsSync(folder)) throw error;
      }
    }
    const path = relative(stage.outdir, folder);
    return { hash, path: isAbsolute(path) ? folder : path };
  }
}

/** Names and contents of a folder's files. */
function bundleDigest(folder: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()) {
    hash
      .update(`${name}\0`)
      .update(readFileSync(join(folder, name)))
      .update('\0');
  }
  return hash.digest('hex');
}

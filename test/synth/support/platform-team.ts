/**
 * What a platform team does to everybody's stacks, loaded before an example (`node --import`): tags, a permissions
 * boundary, an aspect of their own, and cdk-nag, whose findings go to the file that `NAG_REPORT` names.
 */
import { writeFileSync } from 'node:fs';
import { App, Aspects, CfnResource, type IAspect, Tags } from 'aws-cdk-lib';
import { ManagedPolicy, PermissionsBoundary } from 'aws-cdk-lib/aws-iam';
import { AwsSolutionsChecks } from 'cdk-nag';
import type { IConstruct } from 'constructs';

class Marking implements IAspect {
  visit(node: IConstruct): void {
    if (CfnResource.isCfnResource(node)) node.addMetadata('visited', 'yes');
  }
}

const synth = App.prototype.synth;
let prepared = false;

App.prototype.synth = function (this: App, ...args) {
  if (!prepared) {
    prepared = true;
    Tags.of(this).add('cost-center', 'research');
    PermissionsBoundary.of(this).apply(
      ManagedPolicy.fromManagedPolicyArn(
        this.node.children[0] ?? this,
        'Boundary',
        'arn:aws:iam::111122223333:policy/boundary',
      ),
    );
    Aspects.of(this).add(new Marking());
    const { violations } = new AwsSolutionsChecks(this).validateScope(this);
    const { NAG_REPORT } = process.env;
    if (NAG_REPORT !== undefined) {
      writeFileSync(
        NAG_REPORT,
        JSON.stringify(
          violations.map(({ ruleName, violatingResources = [] }) =>
            [ruleName, ...violatingResources.map(({ resourceLogicalId }) => resourceLogicalId)].join(' '),
          ),
        ),
      );
    }
  }
  return synth.apply(this, args);
};

import { ArnFormat, Names, Stack } from 'aws-cdk-lib';
import { type IVpc, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { CfnUser, CfnUserGroup } from 'aws-cdk-lib/aws-elasticache';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { requireKnown } from './validation';

/** What caches on ElastiCache have in common: a name, who is let in, and what those may do. */

/** ElastiCache's. https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateServerlessCache.html */
const MAX_NAME = 40;
const NAME = /^[A-Za-z](?:-?[A-Za-z0-9])*$/;

/**
 * What the handler's user may do: reading and writing its own keys, and nothing that concerns the server or other
 * clients.
 */
const ACCESS =
  'on ~llm:* resetchannels -@all +@read +@write +@connection +@transaction +@scripting +@blocking -@admin -@dangerous';

/** The given name, checked, or one made from the construct's path; in lower case, as ElastiCache makes it. */
export function cacheNameOf(scope: Construct, given: string | undefined): string {
  requireKnown('cacheName', given);
  const name = given ?? uniqueName(scope);
  if (name.length > MAX_NAME || !NAME.test(name)) {
    throw new Error(
      `cacheName must be 1–${MAX_NAME} letters, digits or "-", begin with a letter and hold no "--", got "${name}"`,
    );
  }
  // A token is signed for the name as it is.
  return name.toLowerCase();
}

/** ElastiCache takes no more than 40 characters, and the first must be a letter. */
function uniqueName(scope: Construct): string {
  const unique = Names.uniqueResourceName(scope, { maxLength: MAX_NAME - 4, separator: '-' });
  return `llm-${unique.replaceAll(/-+/g, '-').replace(/-$/, '')}`;
}

export function cacheSecurityGroup(scope: Construct, vpc: IVpc): SecurityGroup {
  return new SecurityGroup(scope, 'SecurityGroup', {
    vpc,
    description: 'Response cache: the gateway function in, nothing out',
    allowAllOutbound: false,
  });
}

/** The user that handlers log in as with their role, and the group that a cache takes. */
export function cacheUsers(
  scope: Construct,
  cacheName: string,
): { readonly user: CfnUser; readonly group: CfnUserGroup } {
  const user = new CfnUser(scope, 'User', {
    engine: 'valkey',
    // With IAM, id and name have to be the same.
    userId: cacheName,
    userName: cacheName,
    authenticationMode: { Type: 'iam' },
    accessString: ACCESS,
  });
  const group = new CfnUserGroup(scope, 'Users', { engine: 'valkey', userGroupId: cacheName, userIds: [user.ref] });
  return { user, group };
}

export function grantCacheConnect(
  scope: Construct,
  grantee: IGrantable,
  kind: 'serverlesscache' | 'replicationgroup',
  cacheName: string,
): Grant {
  const stack = Stack.of(scope);
  const arnOf = (resource: string): string =>
    stack.formatArn({
      service: 'elasticache',
      resource,
      resourceName: cacheName,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
  return Grant.addToPrincipal({
    grantee,
    actions: ['elasticache:Connect'],
    resourceArns: [arnOf(kind), arnOf('user')],
  });
}

"""FABRIC's own clients of the credential manager and the core API: argv is the URL and a file to write; prints one JSON object."""
import json
import sys

from fabrictestbed.external_api.core_api import CoreApi
from fabrictestbed.external_api.credmgr_client import CredmgrClient, CredMgrHTTPError
from fss_utils.jwt_validate import JWTValidator, ValidateCode
from datetime import timedelta

url, token_file = sys.argv[1:3]
client = CredmgrClient(url, retries=0)
project = {"project_name": "emulated"}

made = client.create(cookie="from the browser", file_path=token_file, comment="made by a test", **project)[0]
first = client.load_file(token_file)
code, claims = JWTValidator(url=f"{url}/credmgr/certs", refresh_period=timedelta(minutes=10)).validate_jwt(token=made["id_token"], verify_exp=True)
fresh = client.refresh(refresh_token=first["refresh_token"], file_path=token_file, **project)[0]


def status(work):
    try:
        work()
        return 200
    except CredMgrHTTPError as error:
        return error.status_code


again = status(lambda: client.refresh(refresh_token=first["refresh_token"], **project))
decoded = client.validate(id_token=fresh["id_token"])["token"]
client.revoke(id_token=fresh["id_token"], token_type="identity", token_hash=made["token_hash"])
lines = client.tokens(id_token=fresh["id_token"])

core = CoreApi(core_api_host="https", token=fresh["id_token"])
core.api_server = url  # it would speak https alone
info = core.get_user_info()
projects = core.get_user_projects()
one = core.get_user_projects(project_id=claims["projects"][0]["uuid"])

print(json.dumps({
    "verified": code is ValidateCode.VALID,
    "email": claims["email"],
    "project": claims["projects"][0]["name"],
    "kept": client.load_file(token_file)["refresh_token"] == fresh["refresh_token"],
    "another": fresh["refresh_token"] != first["refresh_token"],
    "again": again,
    "noCookie": status(lambda: client._req("POST", "/tokens/create", params=project)),
    "decoded": decoded["uuid"],
    "states": [t["state"] for t in lines],
    "revoked": client.revoke_list(id_token=fresh["id_token"]) == [made["token_hash"]],
    "bastion": info["bastion_login"],
    "projects": [p["name"] for p in projects],
    "tags": len(one[0]["tags"]),
}))

"""Addresses of cameras: no part of a secret is shown or recorded, however it is written."""

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.address import (
    has_hidden,
    with_logins_hidden,
    with_secrets_hidden,
    without_login,
    without_password,
    without_secrets,
)


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("rtsp://alice:geheim@cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice@cam/x", "rtsp://***@cam/x"),
        ("rtsp://:geheim@cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice:geh/eim@cam/x?channel=1", "rtsp://***@cam/x?channel=1"),
        ("rtsp://alice:geh#eim@cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice:geh?eim@cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice:geheim@[cam/x", "rtsp://***@***/x"),
        ("rtsp://alice%3Ageheim%40cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice%253Ageheim%2540cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice:geh%40eim@cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice:geh\teim@cam/x", "rtsp://***@cam/x"),
        ("http://alice:geheim@cam:80/a@b?c=d@e", "http://***@cam:80/***?***"),
        ("http://cam/v?user=alice&pwd=geheim", "http://cam/v?user=***&pwd=***"),
        ("http://cam/v?p%61ssword=geheim&channel=1", "http://cam/v?***&channel=1"),
        ("http://cam/v?%2570assword=123", "http://cam/v?***"),
        ("http://cam/v?TOKEN=geheim;Key=geheim;auth=geheim;sig=geheim", "http://cam/v?TOKEN=***;Key=***;auth=***;sig=***"),
        ("http://cam/v?whatever=geheim", "http://cam/v?***"),
        ("http://cam:80/v?pwd=geh@eim", "http://cam:80/v?pwd=***"),
        ("http://cam/v?geheim", "http://cam/v?***"),
        ("http://cam/v?geheim==", "http://cam/v?***"),
        ("http://cam/v?channel=http://alice:geheim@x/", "http://cam/v?channel=***"),
        ("http://cam/v?loginuse=admin&loginpas=888", "http://cam/v?loginuse=***&loginpas=***"),
        ("rtsp://cam/user=alice_password=geheim_channel=1_stream=0.sdp", "rtsp://cam/***"),
        ("rtsp://cam/user=alice&password=geheim&channel=1", "rtsp://cam/***"),
        ("rtsp://cam/channel=1_password=geheim", "rtsp://cam/***"),
        ("http://cam/v;jsessionid=geheim", "http://cam/***"),
        ("http://cam/v#token=geheim", "http://cam/v"),
        ("rtsp:/alice:geheim@cam/x", "rtsp:/***@cam/x"),
        ("rtsp:alice:geheim@cam/x", "rtsp:***@cam/x"),
        ("HTTP:\\\\alice:geheim@cam/0/geheim", "HTTP:\\\\***@cam/0/***"),
        ("alice:geheim@cam/geheim", "***@cam/***"),
        ("cam/0/alice:geheim/main", "cam/0/***"),
        ("rtsp://alice:geheim/live", "rtsp://***/live"),
        ("alice:geheim://cam/live", "***://cam/live"),
        ("http://127.0.0.1:8911/0/alice:geheim/main", "http://127.0.0.1:8911/0/***"),
        ("http://cam/0/alice/123/main", "http://cam/0/***"),
        ("http://cam/live;geheim", "http://cam/***"),
        ("http://cam/v?p%3dgeheim", "http://cam/v?***"),
        ("http://cam/v?channel=geheim&fps=10", "http://cam/v?channel=***&fps=10"),
        ("http://cam/v?channel=123456", "http://cam/v?channel=***"),
        ("rtsp://cam:7447/GE4c2hUnN0gBBBB", "rtsp://cam:7447/***"),
        ("http://cam/12345678/live", "http://cam/***"),
        ("http://cam/a1b2c3d4/live", "http://cam/***"),
        ("http://cam/a-1-b-2-c", "http://cam/***"),
        ("http://cam/live%3Ageheim", "http://cam/***"),
    ],
)
def test_no_part_of_a_password_is_recorded_however_it_is_written(name, recorded):
    assert without_secrets(name) == recorded
    assert without_secrets(recorded) == recorded
    assert has_hidden(recorded) == ("***" in recorded and "://" in recorded)


@pytest.mark.parametrize(
    "name",
    [
        "rtsp://cam/live",
        "rtsp://[fe80::1]:554/h264/ch1/main/av_stream",
        "rtsp://10.0.0.2:554/cam/realmonitor?channel=1&subtype=0",
        "rtsp://10.0.0.2/Streaming/Channels/101?transportmode=unicast&profile=Profile_1",
        "http://10.0.0.2:8080/?action=stream",
        "http://10.0.0.2/mjpg/video.mjpg?resolution=640x480&fps=10&compression=30&camera=2",
        "http://10.0.0.2/axis-cgi/mjpg/video.cgi?streamprofile=3",
        "http://10.0.0.2/axis-cgi/mjpg/video.cgi?streamprofile=3&resolution=1920x1080",
        "rtsp://10.0.0.2/h264Preview_01_main",
        "rtsp://10.0.0.2/onvif1/stream1/0",
        "rtsp://kamera.büro.example/live/ch00_0",
        "http://[fe80::1%25eth0]:80/video?bitrate=4096&fps=29.97",
        "v4l2:/dev/video0",
        "v4l2:/dev/v4l/by-id/usb-A@B:C=D-video-index0",
        "picamera2:1",
        "synthetic:30",
    ],
)
def test_what_chooses_a_picture_is_kept(name):
    assert without_secrets(name) == name
    assert not has_hidden(name)


SECRET = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_categories=["C", "Z"]), min_size=6, max_size=20)
FORMS = (  # how an address may hold a secret, s; p: as a parameter's or a path's part may hold it, q: percent-encoded
    *(
        "{scheme}://joe:{s}@cam.example/live",
        "{scheme}://{s}@cam.example/live",
        "{scheme}:/joe:{s}@cam/x",
        "{scheme}:joe:{s}@cam/x",
    ),
    *(
        "joe:{s}@cam.example/live",
        "{scheme}://cam.example/live?pwd={p}",
        "{scheme}://cam.example/live?{p}",
        "{scheme}://cam/v?{p}=1",
    ),
    *("{scheme}://cam/v?channel={p}", "{scheme}://cam/v?a={p}&fps=3", "{scheme}://cam/v?pwd%3D{q}", "{scheme}://cam/v?x%253d{q}"),
    *(
        "{scheme}://127.0.0.1:80/0/joe:{p}/main",
        "{scheme}://cam/0/joe:{q}/main",
        "{scheme}://cam/0/joe/{q}/main",
        "{scheme}://cam/{q}",
    ),
    *("{scheme}://cam/live;{p}", "{scheme}://cam/live;x={p}?fps=3", "{scheme}://cam/live/x={p}", "{scheme}://cam/live#{s}"),
    *(
        "{scheme}://cam/live%3A{q}",
        "{scheme}://cam/user={p}_channel=1",
        "{scheme}://cam/live/{q}@x",
        "{scheme}://joe:{q}%40cam/live",
    ),
    *("{scheme}://joe:{q}/live", "cam/0/joe:{p}/main"),
)


@given(SECRET, st.sampled_from(["rtsp", "rtsps", "http", "https"]), st.sampled_from(FORMS))
def test_a_secret_is_never_shown_whatever_its_characters_and_wherever_it_stands(secret, scheme, form):
    s = f"Zq{secret}qZ"
    address = form.format(
        scheme=scheme, s=s.replace("/", "").replace("://", ""), p=re.sub("[&;#?/@]", "", s), q=quote(s, safe="")
    )
    for shown in (without_secrets(address), without_login(address), without_secrets(without_secrets(address))):
        assert "Zq" not in shown, shown
        assert "qZ" not in shown, shown
    if "://" in address:
        assert "qZ" not in with_secrets_hidden(f"no answer of {address!r}: no {s!r}", address).replace(repr(s), "")
        assert "Zq" not in with_logins_hidden(f"no answer of '{address}'") or form.partition("://")[2].startswith("cam")


TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@given(TEXT)
def test_what_is_shown_of_any_text_is_shown_of_itself(text):
    for address in (text, f"rtsp://{text}", f"http://cam/{text}", f"http://cam/v?{text}"):
        assert without_secrets(without_secrets(address)) == without_secrets(address)
        without_login(address)


def test_addresses_that_differ_in_their_login_alone_are_one_camera():
    said = ["http://cam/v?channel=1", "http://a:b@cam/v?channel=1", "http://***@cam/v?channel=1", "http://cam/v?pwd=x&channel=1"]
    assert {without_login(one) for one in said} == {"http://cam/v?channel=1"}
    assert without_login("http://cam/v?channel=2") != without_login("http://cam/v?channel=1")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open 'rtsp://a:b@cam/x': no", "cannot open 'rtsp://***@cam/x': no"),
        ("rtsp:/a:b@cam/x: no such file", "rtsp:/***@cam/x: no such file"),
        ("rtsp://a:b%40cam/x", "rtsp://***@cam/x"),
        ("GET /v?user=a&token=b&fps=3 failed at http://cam/v?pwd=c", None),
        ("write rtsp://USER:PASSWORD@cam/...", "write rtsp://USER:PASSWORD@cam/..."),
        ("a/b@2x.png: damaged", "a/b@2x.png: damaged"),
        ("see https://example.org/a and mail joe@example.org", "see https://example.org/a and mail joe@example.org"),
        ("file:///home/joe@home/x", "file:///home/joe@home/x"),
        ("temperature: 1/2 @ 3", "temperature: 1/2 @ 3"),
    ],
)
def test_an_error_of_anybodys_shows_no_login(text, shown):
    found = with_logins_hidden(text)
    assert found == (shown or "GET /v?user=***&token=***&fps=3 failed at http://cam/v?pwd=***")


@pytest.mark.parametrize("said", ["wrong password s3cr%t!", "wrong password s3cr%25t!", "Basic am9lOnMzY3IldCE=", "user joe?"])
def test_what_a_server_repeats_of_a_login_is_not_shown(said):
    found = with_secrets_hidden(said, "http://joe:s3cr%25t!@cam/live")
    assert "***" in found
    assert not any(secret in found for secret in ("s3cr", "am9l", "joe"))


def test_a_redirection_without_a_scheme_hides_its_login_too():
    assert without_password("//joe:geheim@cam/x?token=geheim") == "//cam/x"
    assert without_password("/login?user=joe&pwd=geheim") == "/login"

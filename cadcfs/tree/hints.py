"""Texts of README.txt: at the root, and where a directory cannot show what may be typed in it."""

from __future__ import annotations

from cadcfs.tree.plain import FixedFile

README = "README.txt"
WRITTEN_NS = 1_795_564_800 * 10**9
"""When the texts were last changed: fixed, so that copies of them stay up to date."""

_TEXTS = {
    "": """\
The Canadian Astronomy Data Centre, as a folder. Listing a directory asks the archive;
reading a file fetches the bytes that are read, once, and keeps them on disk.

  collections/                            one directory per collection
  collections/CFHT/by-target/M31/         the files of one target
  collections/CFHT/by-observation/<id>/   the files of one observation
  collections/CFHT/by-proposal/<id>/      the files of one proposal
  collections/CFHT/by-date/2019/01/07/    the files of one UTC day; a range of days opens, too:
                                          by-date/2019-01-01..2019-01-31/
  collections/CFHT/by-intent/science/     the same ways in again, narrowed; likewise by-instrument,
                                          by-filter, by-level, by-type, by-product, in any order
  region/10.6847_41.2688_0.1/             what covers a circle: ra, dec, radius in degrees
  name/m31/                               targets with this text in their name
                                          (both also below a collection, for that one alone)
  jobs/                                   long queries: mkdir, write, run, wait, copy the result
  tables/caom2.Plane.csv                  what can be asked: the columns of each table

In a directory of files:

  *.fits, *.fits.fz, ...   the data; mode 0000 where they are not public yet
  previews/                previews and thumbnails
  auxiliary/               weights, catalogues, and whatever else belongs to the data
  junk/                    what the observatory flagged as unusable
  headers/                 all FITS headers as text, without fetching the pixels
  unpacked/                plain FITS of what fpack or gzip packed
  cutouts/                 in a region: the circle, cut out of each image; its size
                           is 0 for ls until it is read
  where/                   the same files, narrowed: where/time_exposure.gt.120/
  metadata.vot, .csv       all that is known of their observations
  urls.txt                 the addresses of the data; cutout-urls.txt: of the cutouts
  about.txt                how many files and bytes there are

To paste:

  ls collections
  ls -l collections/CFHT/by-target/M31
  cp collections/CFHT/by-target/M31/*p.fits.fz ~

  mkdir jobs/bright                       or, in short: cp q.adql jobs/bright.adql
  cp mytable.csv jobs/bright/uploads/     becomes tap_upload.mytable (VOTable, FITS, ECSV, CSV)
  cp q.adql jobs/bright/query.adql
  echo RUN > jobs/bright/phase            ABORT stops it
  cat jobs/bright/.wait                   opens when the job has ended
  cp jobs/bright/result.vot ~             also result.csv, .tsv, .fits, .parquet; error.txt
  rm -r jobs/bright                       also at the archive

Characters that would hurt a shell or a FITS program are written =XX in names (hexadecimal):
a target called "Fe/Ar" is the directory Fe=2FAr. Where that is listed, other spellings lead to it:
another case, or an underscore for each character that is not a plain one (Fe_Ar).
In every directory, .query says what was asked, .error what went wrong, and reading .refresh asks
again; none of the three is listed.
""",
    "region": """\
Circles on the sky. Any of them opens, by the name

  <ra>_<dec>_<radius>     ICRS, decimal degrees: 10.6847_41.2688_0.1
                          the radius may have a unit (6arcmin or 6m, 30arcsec or 30s, 0.1deg or
                          0.1d) or be left out (1 arcmin)
  08h45m07.5s_+54d18m00s_1m               sexagesimal
  M31_6arcmin                             an object that the archive's resolver knows, with a
                                          radius that has a unit

Each lists the collections that have something there, and what covers the circle: footprints.png
is a picture, footprints.reg is for DS9 (ds9 -regions footprints.reg IMAGE).

What is listed here was asked lately.
""",
    "name": """\
Parts of target names, upper or lower case: name/m31/ finds M31, M31-B14 and RM31. Any text opens;
what is listed here was asked lately.
""",
    "where": """\
The files of the directory above, narrowed by any column of its metadata.csv:

  <column>.<op>.<value>   op is one of eq ne lt le gt ge like
  <column>.null           the column has no value

  time_exposure.gt.120
  instrument_name.eq.MegaPrime
  energy_bandpassName.like.r=25           like takes SQL's wildcards; a percent sign is written =25

They nest: where/time_exposure.gt.120/where/calibrationLevel.ge.2/. What is listed here was asked
lately.
""",
}


def hint(kind: str) -> FixedFile:
    """The README.txt of a kind of directory; "" is the root."""
    return FixedFile(f"/hints/{kind}", _TEXTS[kind], WRITTEN_NS)

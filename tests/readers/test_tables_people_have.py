"""Whole data sets with tables as Kaggle, hospitals, label tools and spreadsheets write them."""

from __future__ import annotations

import pytest

from swtformer.datasets import open_dataset
from swtformer.errors import DataError
from swtformer.settings import DataSettings

XYZ = {"classes.txt": "x\ny\nz\n"}
CAT_DOG = {"classes.txt": "cat\ndog\n"}


@pytest.fixture
def opened(photos):
    """Writes files beside images/a.jpg to d.jpg and opens the folder."""

    def write_and_open(files, *, target=".", reader=None, **settings):
        for name, text in files.items():
            (photos / name).parent.mkdir(parents=True, exist_ok=True)
            (photos / name).write_text(text.replace("HERE", str(photos)))
        return open_dataset(photos / target, DataSettings(**settings), reader=reader)

    return write_and_open


def labels_of(data):
    """Labels by the image's name without folders."""
    return {
        record.id.rpartition("/")[2]: " ".join(data.classes[index] for index in record.present or ())
        for record in data.records
    }


def said(data):
    """What was decided, in one line."""
    return " ".join(p.message for p in data.problems if p.kind in {"table_read", "ignored_column"})


RIGHT = {
    # images, labels and other columns as people call them
    "NIH": (
        "Image Index,Finding Labels,Follow-up #\na.jpg,Mass|Edema,0\nb.jpg,No Finding,1\nc.jpg,Edema,0\n",
        {"a": "Edema Mass", "b": "", "c": "Edema"},
        "'No Finding' (once) means no class",
    ),
    "HAM10000": (
        "lesion_id,image_id,dx,dx_type,age\nH1,a,bkl,histo,80\nH1,b,nv,histo,80\n",
        {"a": "bkl", "b": "nv"},
        "labels from 'dx'",
    ),
    "Kaggle": (
        "ImageId,label\na,cat dog\nb,dog\nc,cat\n",
        {"a": "cat dog", "b": "dog", "c": "cat"},
        "blanks",
    ),
    "Label Studio": (
        "annotation_id,choice,id,image\n1,cat,7,/data/upload/3/1a2b3c4d-a.jpg\n"
        '2,"{""choices"":[""cat"",""dog""]}",8,/data/upload/3/5e6f7a8b-b.jpg\n',
        {"a": "cat", "b": "cat dog"},
        "labels from 'choice'",
    ),
    "German Excel": (
        "sep=;\nDateiname;Klasse;\na.jpg;Katze;\nb.jpg;Hund;\n",
        {"a": "Katze", "b": "Hund"},
        "Klasse",
    ),
    "names told by their files": (
        "foo,label,bar\nx,cat,a\ny,dog,b\n",
        {"a": "cat", "b": "dog"},
        "column 'bar'",
    ),
    "an ending": (
        "image,img_label,note\na,cat,x1\nb,dog,x2\n",
        {"a": "cat", "b": "dog"},
        "labels from 'img_label'",
    ),
    "an index": ("Unnamed: 0,image,label\n0,a.jpg,cat\n1,b.jpg,dog\n", {"a": "cat", "b": "dog"}, ""),
    "nameless": (",image,label,,\n0,a.jpg,cat,,\n1,b.jpg,dog,,\n", {"a": "cat", "b": "dog"}, ""),
    "pipes": ("image|label\na.jpg|cat\nb.jpg|dog\n", {"a": "cat", "b": "dog"}, ""),
    # several columns of labels
    "label1, label2": (
        "image,label1,label2\na,cat,dog\nb,dog,\n",
        {"a": "cat dog", "b": "dog"},
        "'label1', 'label2'",
    ),
    "pandas' doubles": (
        "image,label,label.1\na,cat,dog\nb,dog,\n",
        {"a": "cat dog", "b": "dog"},
        "'label.1'",
    ),
    # separators
    "plus": ("image,labels\na,cat + dog\nb,cat\nc,dog\n", {"a": "cat dog", "b": "cat", "c": "dog"}, "'+'"),
    "Chinese commas": (
        "image,labels\na,cat\uff0cdog\nb,cat\nc,dog\n",
        {"a": "cat dog", "b": "cat", "c": "dog"},
        "separated by '\uff0c'",
    ),
    "Japanese commas": ("image,labels\na,cat\u3001dog\nb,cat\n", {"a": "cat dog", "b": "cat"}, ""),
    "newlines": ('image,labels\na,"cat\ndog"\nb,cat\n', {"a": "cat dog", "b": "cat"}, ""),
    # one column per class
    "-1 and 1": ("image,cat,dog\na,1,-1\nb,-1,1\n", {"a": "cat", "b": "dog"}, "-1 means absent"),
    "yes and no": ("image,cat,dog\na,yes,No\nb,n,Y\n", {"a": "cat", "b": "dog"}, ""),
    "crosses": ("image,cat,dog,cow\na,x,,\nb,X,x,\n", {"a": "cat", "b": "cat dog"}, "empty cells mean"),
    "ones": ("image,cat,dog\na,1.0,\nb,,1.0\nc,,\n", {"a": "cat", "b": "dog", "c": ""}, "empty cells mean"),
    "ticks": ("image,cat,dog\na,✓,✗\nb,✗,✔\nc,✗,✗\n", {"a": "cat", "b": "dog", "c": ""}, ""),
    "counts": ("image,cat,dog\na,3,0\nb,0,1\n", {"a": "cat", "b": "dog"}, "numbers from 1 on"),
    "scores": ("image,cat,dog\na,.9,0.2\nb,0.1,0.5\n", {"a": "cat", "b": "dog"}, "scores from 0.5 on"),
    "metadata": (
        "image,width,cat,dog,is_flipped,fold\na,8,1,0,1,0\nb,8,0,1,0,1\n",
        {"a": "cat", "b": "dog"},
        "not read as classes: 'is_flipped', 'fold'",
    ),
    "is_": ("image,is_cat,is_dog\na,1,0\nb,0,1\n", {"a": "is_cat", "b": "is_dog"}, ""),
    "a column for nothing": (
        "image,No Finding,Edema\na,1,0\nb,0,1\n",
        {"a": "", "b": "Edema"},
        "the column 'No Finding' means no class",
    ),
    "labels that agree": (
        "image,label,cat,dog\na,cat,1,0\nb,dog,0,1\n",
        {"a": "cat", "b": "dog"},
        "says the same",
    ),
    "numbers that agree": (
        "image,label,cat,dog\na,0,1,0\nb,1,0,1\n",
        {"a": "cat", "b": "dog"},
        "says the same",
    ),
    "attributes": ("image,label,is_old\na,cat,1\nb,dog,0\n", {"a": "cat", "b": "dog"}, "not read: 'is_old'"),
    # one row per object
    "long": (
        "image,label\na,cat\na,dog\nb,dog\nb,cat\nc,cat\n",
        {"a": "cat dog", "b": "cat dog", "c": "cat"},
        "5 rows are objects of 3",
    ),
    "boxes": (
        "filename,class,xmin,ymin,xmax,ymax\na,cat,1,1,5,5\na,dog,1,1,5,5\nb,,,,,\n",
        {"a": "cat dog", "b": ""},
        "objects",
    ),
    "VinBigData": (
        "image_id,class_name,class_id,x_min\na,No finding,14,\nb,Mass,3,691\nb,Edema,0,1\n",
        {"a": "", "b": "Edema Mass"},
        "labels from 'class_name'",
    ),
    "Open Images": (
        "ImageID,LabelName,Confidence\na,/m/1,1\na,/m/2,0\nb,/m/2,1\n",
        {"a": "/m/1", "b": "/m/2"},
        "rows count",
    ),
    "melted": (
        "image,variable,value\na,cat,1\na,dog,0\nb,cat,0\nb,dog,1\n",
        {"a": "cat", "b": "dog"},
        "rows count",
    ),
    "outlines": (
        "id,class,segmentation\na,gut,1 2\na,liver,\nb,gut,\nb,liver,\n",
        {"a": "gut", "b": ""},
        "show no class",
    ),
    # without header
    "no header": ("a.jpg,cat;dog\nb.jpg,dog\n", {"a": "cat dog", "b": "dog"}, "there is no header"),
    "ragged": ("a.jpg,cat,dog\nb.jpg,dog\n", {"a": "cat dog", "b": "dog"}, "there is no header"),
    "Vertex": (
        "TRAIN,gs://b/a.jpg,cat\nTRAIN,gs://b/b.jpg,dog\n",
        {"a": "cat", "b": "dog"},
        "splits from 'column 1'",
    ),
    "a class of its own": ("filename,defect\na,1\nb,0\n", {"a": "defect", "b": ""}, ""),
    "VIA": (
        "filename,file_size,region_count,region_id,region_attributes\n"
        'a.jpg,9,2,0,"{""class"":""cat""}"\na.jpg,9,2,1,"{""class"":""dog""}"\nb.jpg,9,0,0,"{}"\n',
        {"a": "cat dog", "b": ""},
        "labels from 'region_attributes'",
    ),
    "identifiers": (
        "StudyUID,image,mass\n1,a,1\n1,b,0\n",
        {"a": "mass", "b": ""},
        "not read as classes: 'StudyUID'",
    ),
    "a split of 0 and 1": (
        "image,label,train\na,cat,1\nb,dog,0\n",
        {"a": "cat", "b": "dog"},
        "'train' is not read",
    ),
    "names and numbers": (
        "image,label,label_name\na,0,cat\nb,1,dog\n",
        {"a": "cat", "b": "dog"},
        "'label_name'",
    ),
    "RetinaNet": (
        "images/a.jpg,1,2,30,40,cat\nimages/a.jpg,5,6,70,80,dog\nimages/b.jpg,,,,,\n",
        {"a": "cat dog", "b": ""},
        "boxes follow",
    ),
    # lists
    "pandas": (
        "image,labels\na,\"['cat', 'dog']\"\nb,['dog']\nc,[]\n",
        {"a": "cat dog", "b": "dog", "c": ""},
        "",
    ),
    "NumPy": ("image,labels\na,['cat' 'dog']\nb,['dog']\n", {"a": "cat dog", "b": "dog"}, ""),
    "dictionaries": (
        "image,labels\na,\"{'cat': 1, 'dog': 0}\"\nb,\"{'cat': 0, 'dog': 1}\"\n",
        {"a": "cat", "b": "dog"},
        "",
    ),
    # paths
    "Windows": (
        "image,label\nC:\\me\\images\\a.jpg,cat\nC:\\me\\images\\b.jpg,dog\n",
        {"a": "cat", "b": "dog"},
        "",
    ),
    "absolute": ("image,label\nHERE/images/a.jpg,cat\nHERE/images/b.jpg,dog\n", {"a": "cat", "b": "dog"}, ""),
    "once absolute": (
        "image,label\n/home/me/images/a.jpg,cat\n/home/me/images/b.jpg,dog\n",
        {"a": "cat", "b": "dog"},
        "",
    ),
    "addresses": (
        "image,label\nhttps://x.org/y/a.jpg?k=1,cat\ns3://z/y/b.jpg,dog\n",
        {"a": "cat", "b": "dog"},
        "",
    ),
    "names that doubt": (
        "image,label\na,healthy\nb,rust\n",
        {"a": "healthy", "b": "rust"},
        "",
    ),
    # sheets of hospitals and of Excel in other languages
    "a title above the header": (
        "Auswertung 2023;;\n;;\nBild;Klasse;\na.jpg;cat;\nb.jpg;dog;\nc.jpg;keine;\n",
        {"a": "cat", "b": "dog", "c": ""},
        "the header is in line 3",
    ),
    "image and class in one": (
        "Image_Label,EncodedPixels\na.jpg_Fish,1 3\na.jpg_Sugar,\nb.jpg_Fish,2 2\nb.jpg_Sugar,5 1\n",
        {"a": "Fish", "b": "Fish Sugar"},
        "'a.jpg_Fish' is 'Fish' of 'a.jpg'",
    ),
    "image and class in one with flags": (
        "ID,Label\na_any,1\na_bleed,0\nb_any,0\nb_bleed,0\n",
        {"a": "any", "b": ""},
        "'a_any' is 'any' of 'a'",
    ),
    "decimal commas": (
        "Bild;Katze;Hund\na.jpg;0,9;0,1\nb.jpg;1,0;0,75\nc.jpg;0,0;0,2\n",
        {"a": "Katze", "b": "Katze Hund", "c": ""},
        "scores from 0.5",
    ),
    "percent": (
        "image,cat,dog\na.jpg,95%,3%\nb.jpg,2 %,88.5%\n",
        {"a": "cat", "b": "dog"},
        "scores from 0.5",
    ),
    "Excel's German truth": (
        "Bild;Katze;Hund\na.jpg;WAHR;FALSCH\nb.jpg;FALSCH;WAHR\n",
        {"a": "Katze", "b": "Hund"},
        "Bild",
    ),
    "Excel's French truth": (
        "fichier;chat;chien\na.jpg;VRAI;FAUX\nb.jpg;VRAI;VRAI\n",
        {"a": "chat", "b": "chat chien"},
        "fichier",
    ),
    "findings": (
        "Bilddatei;Befund;Datum\na.jpg;Pneumonie;01.02.2020\nb.jpg;o.B.;02.02.2020\nc.jpg;Erguss;\n",
        {"a": "Pneumonie", "b": "", "c": "Erguss"},
        "'o.B.' (once) means no class",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_tables_that_are_read(opened, name):
    text, labels, words = RIGHT[name]
    data = opened({"my table.csv": text})
    assert labels_of(data) == labels
    assert words in said(data)
    assert words or not said(data)


NUMBERED = {
    "numbers": ({"l.csv": "image,label\na,0\nb,2\n", **XYZ}, {"a": "x", "b": "z"}),
    "floats": ({"l.csv": "image,label\na,0.0\nb,2.0\n", **XYZ}, {"a": "x", "b": "z"}),
    "with background": (
        {"l.csv": "image,label\na,0\nb,2\n", "classes.txt": "background\nx\ny\n"},
        {"a": "", "b": "y"},
    ),
    "a map": (
        {"l.csv": "image,ClassId\na,1\nb,3\n", "classes.json": '{"1": "x", "3": "z"}'},
        {"a": "x", "b": "z"},
    ),
    "a map by name": (
        {"l.csv": "image,label\na,1\nb,3\n", "classes.json": '{"x": 1, "z": 3}'},
        {"a": "x", "b": "z"},
    ),
    "a list of objects": (
        {
            "l.csv": "image,label\na,1\nb,3\n",
            "classes.json": '[{"id": 1, "name": "x"}, {"id": 3, "name": "z"}]',
        },
        {"a": "x", "b": "z"},
    ),
    "Human Protein Atlas": ({"train.csv": "Id,Target\na,0 2\nb,1\n", **XYZ}, {"a": "x z", "b": "y"}),
    "flags in one cell": ({"l.csv": "image,labels\na,1 0 1\nb,0 0 0\n", **XYZ}, {"a": "x z", "b": ""}),
    "flags in a list": (
        {"l.jsonl": '{"image": "a", "labels": [1, 0, 1]}\n{"image": "b", "labels": [0, 1, 0]}\n', **XYZ},
        {"a": "x z", "b": "y"},
    ),
    "scores in a list": ({"l.jsonl": '{"image": "a", "labels": [0.9, 0, 0.5]}\n', **XYZ}, {"a": "x z"}),
    "two classes": (
        {"l.jsonl": '{"image": "a", "labels": [0, 1]}\n{"image": "b", "labels": [1, 0]}\n', **CAT_DOG},
        {"a": "dog", "b": "cat"},
    ),
    "all accepted": (
        {"l.jsonl": '{"image": "a", "label": "cat", "answer": "accept"}\n{"image": "b", "label": "dog"}\n'},
        {"a": "cat", "b": "dog"},
    ),
    "two classes in one cell": (
        {"l.csv": "image,labels\na,0 1\nb,1\n", **CAT_DOG},
        {"a": "cat dog", "b": "dog"},
    ),
    "numbers in a list": (
        {"l.jsonl": '{"image": "a", "labels": [0, 2]}\n{"image": "b", "labels": [1]}\n', **XYZ},
        {"a": "x z", "b": "y"},
    ),
    "objects": (
        {
            "metadata.jsonl": '{"file_name": "images/a.jpg", "objects": {"categories": [1]}}',
            **XYZ,
        },
        {"a": "y"},
    ),
    "a list of images": (
        {"train.txt": "images/a.jpg 0 2\nimages/b.jpg 1\nimages/c.jpg\n", **XYZ},
        {"a": "x z", "b": "y", "c": ""},
    ),
    "a list with flags": ({"train.txt": "a.jpg 1 0 1\nb.jpg 0 1 0\n", **XYZ}, {"a": "x z", "b": "y"}),
    "a list with names": ({"all.txt": "a.jpg cat dog\nb.jpg cat\n"}, {"a": "cat dog", "b": "cat"}),
    "a list with commas": (
        {"all.txt": "a.jpg, hot dog, cat\nb.jpg, cat\n"},
        {"a": "cat hot dog", "b": "cat"},
    ),
    "flags without header": ({"l.csv": "a.jpg,1,0,1\nb.jpg,0,1,0\n", **XYZ}, {"a": "x z", "b": "y"}),
}


@pytest.mark.parametrize("name", NUMBERED)
def test_numbers_are_read_by_a_class_list(opened, name):
    files, labels = NUMBERED[name]
    assert labels_of(opened(files)) == labels


def test_one_declared_class_is_there_or_not(opened):
    table = {"l.csv": "patientId,x,y,width,height,Target\na,,,,,0\nb,1,2,3,4,1\nb,5,6,7,8,1\n"}
    assert labels_of(opened(table, classes=("pneumonia",))) == {"a": "", "b": "pneumonia"}
    assert labels_of(opened({"l.csv": "image,label\na,no\nb,yes\n"}, classes=("mass",))) == {
        "a": "",
        "b": "mass",
    }


def test_numbers_follow_the_class_file_where_the_settings_choose_from_it(opened):
    data = opened({"l.csv": "image,label\na,2\nb,2\n", **XYZ}, classes=("z", "x"))
    assert (data.classes, labels_of(data)) == (("z", "x"), {"a": "z", "b": "z"})


REFUSED = {
    "a label beside flags": (
        {"l.csv": "image,type,cat,dog\na,old,1,0\nb,new,0,1\n"},
        "'type' and .* may be labels",
    ),
    "columns called by numbers": ({"l.csv": "image,0,1\na,1,0\nb,0,1\n"}, "are called by numbers"),
    "numbers alone": (
        {"l.csv": "image,label\na,0\nb,3\n"},
        "labels of 2 rows are numbers .0 to 3.*classes.json",
    ),
    "a flag without name": ({"l.csv": "image,label\na,0\nb,1\n"}, "call the column by its name"),
    "numbers from 1": ({"l.csv": "image,label\na,1\nb,3\n", **XYZ}, "numbers its classes from 0 to 2"),
    "flags without list": ({"l.csv": "image,labels\na,1 0 1\nb,0 0 0\n"}, "lists of 3 values.*no class list"),
    "flags of another list": ({"l.csv": "image,labels\na,1 0 1\nb,0 0 0\n", **CAT_DOG}, "names 2 classes"),
    "flags or numbers": (
        {"l.csv": "image,labels\na,0 1\nb,0 1\n", **CAT_DOG},
        "'0 1' the numbers of classes, or a",
    ),
    "flags or a number": (
        {"l.jsonl": '{"image": "a", "labels": [0]}\n', "classes.txt": "cat\n"},
        "is '0' the numb",
    ),
    "yes without name": ({"l.csv": "image,label\na,yes\nb,no\n"}, "nothing but words like yes and no"),
    "commas": ({"l.csv": 'image,label\na,"tench, Tinca"\nb,cock\n'}, "is 'tench, Tinca' one class"),
    "unsure": ({"l.csv": "image,cat,dog\na,1,0\nb,-1,1\n"}, "reader.minus_one absent"),
    "empty": ({"l.csv": "image,cat,dog\na,1,0\nb,,1\n"}, "reader.blank absent"),
    "percent": ({"l.csv": "image,cat,dog\na,80,0\nb,10,95\n"}, "hold numbers up to 95.*reader.threshold"),
    "flags and scores": ({"l.csv": "image,cat,dog\na,1,0.2\nb,0,0.7\n"}, "dog hold scores, cat only 0 and 1"),
    "disagreement": (
        {"l.csv": "image,label,cat,dog\na,cat,1,1\nb,dog,0,1\n"},
        "l.csv:2: .*say different things, in 1 of 2",
    ),
    "counts that are never 0": (
        {"l.csv": "image,cat,dog\na,2,0\nb,1,3\n"},
        "'dog' are read as counts.*'cat', which",
    ),
    "two images in a row": (
        {"l.csv": "ID,Left-Fundus,Right-Fundus,N,D\n0,a.jpg,b.jpg,0,1\n1,c.jpg,d.jpg,1,0\n"},
        "'Left-Fundus', 'Right-Fundus' hold images.*reader.image_column",
    ),
    "rejected rows": (
        {"l.jsonl": '{"image": "a", "label": "x", "answer": "accept"}\n{"image": "b", "answer": "reject"}\n'},
        "rows whose 'answer' is reject .*no labels",
    ),
    "grades beside flags": (
        {"l.csv": "image,dr_grade,dme\na,0,0\nb,3,1\n"},
        "columns dr_grade hold numbers up to 3; say from which.*reader.threshold",
    ),
    "a job without names": (
        {"l.manifest": '{"source-ref": "s3://b/a.jpg", "job": 0, "job-metadata": {}}\n'},
        "l.manifest:1: 'job-metadata' does not name the class of 'job'",
    ),
    "grades": ({"l.csv": "id_code,diagnosis\na,0\nb,2\nc,4\n"}, "nothing says what they mean"),
    "raters": ({"l.csv": "image,rater1,rater_2\na,1,0\nb,0,1\n"}, "or one of 0 and 1 for each class"),
    "objects of one class": ({"l.csv": "ImageId,EncodedPixels\na,1 3\nb,\n"}, "if all are of one class, add"),
    "two label columns": ({"l.csv": "image,class,category\na,cat,x\nb,dog,y\n"}, "several columns may hold"),
    "no labels": ({"l.csv": "image,weight_g,note\na,1.5,x\nb,2,y\n"}, r"in 2 rows: weight_g .'1.5'.; note"),
    "two tables": (
        {"one.csv": "image,label\na,cat\n", "two.csv": "image,label\nb,dog\n"},
        "several tables: one.csv, two.csv",
    ),
    "numbers beside names": ({"l.csv": "a.jpg,3,cat\nb.jpg,4,dog\n"}, "has no header, and holds numbers"),
    "contradiction": ({"l.csv": "image,label\na,cat\na,dog\nb,cat\nc,cat\nd,cat\n"}, "reader.rows object"),
    "two splits": (
        {"l.csv": "image,label,split,xmin\na,cat,train,1\na,dog,val,1\n"},
        "is in several splits: train, val",
    ),
    "a class without column": (
        {"l.csv": "image,cat,dog\na,1,0\nb,0,1\n", "classes.txt": "cat\ndgo\n"},
        "'dgo' has no column.*'dog'",
    ),
    "old Excel": ({"l.xls": "x"}, "save it as .xlsx"),
    "many rows": (
        {"l.csv": "image,label\n" + "a,cat,dog\n" * 30},
        "30 rows have another number of cells.*line 2 .3.",
    ),
    "many cells": ({"l.csv": "image,label\n" + "a,[cat\n" * 30}, "l.csv:2: .*and so in 30 rows"),
    "unknown classes": (
        {"l.csv": "image,label\na,ct\nb,ct\n", **CAT_DOG},
        "unknown class 'ct' .in 2 images.. Did you mean 'cat'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_told_is_asked_for(opened, name):
    files, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        opened(files)


ANSWERS = {
    "image_column": (
        "image,photo,label\nx,a,cat\ny,b,dog\n",
        {"image_column": "Photo"},
        {"a": "cat", "b": "dog"},
    ),
    "label_columns": (
        "image,class,kind\na,cat,x\nb,dog,y\n",
        {"label_columns": "kind"},
        {"a": "x", "b": "y"},
    ),
    "several label_columns": (
        "image,one,two\na,cat,dog\nb,dog,\n",
        {"label_columns": "one,two"},
        {"a": "cat dog", "b": "dog"},
    ),
    "flags": (
        "image,cat,dog,fold\na,1,0,1\nb,0,1,0\n",
        {"label_columns": "cat,fold"},
        {"a": "cat fold", "b": ""},
    ),
    "separator": (
        "image,label\na,cat-dog\nb,cow-dog\n",
        {"separator": "-"},
        {"a": "cat dog", "b": "cow dog"},
    ),
    "blank separator": (
        "image,label\na,hot dog\nb,dog\n",
        {"separator": "blank"},
        {"a": "dog hot", "b": "dog"},
    ),
    "no separator": (
        'image,label\na,"hot, dog"\nb,cat\n',
        {"separator": "never"},
        {"a": "hot, dog", "b": "cat"},
    ),
    "nothing": ("image,label\na,healthy\nb,normal\n", {"nothing": "Healthy"}, {"a": "", "b": "normal"}),
    "threshold": ("image,cat,dog\na,80,0\nb,10,95\n", {"threshold": "50"}, {"a": "cat", "b": "dog"}),
    "minus_one": ("image,cat,dog\na,1,0\nb,-1,1\n", {"minus_one": "present"}, {"a": "cat", "b": "cat dog"}),
    "minus_one absent": ("image,cat,dog\na,1,0\nb,-1,1\n", {"minus_one": "absent"}, {"a": "cat", "b": "dog"}),
    "blank": ("image,cat,dog\na,1,0\nb,,1\n", {"blank": "absent"}, {"a": "cat", "b": "dog"}),
    "rows": ("image,label\na,cat\na,dog\nb,cat\n", {"rows": "object"}, {"a": "cat dog", "b": "cat"}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_settings_answer(opened, name):
    text, reader, labels = ANSWERS[name]
    assert labels_of(opened({"l.csv": text}, reader=reader)) == labels


def test_a_column_that_is_not_there_is_named(opened):
    with pytest.raises(DataError, match=r"no column 'lable' .*label_columns\)\. Did you mean 'label'"):
        opened({"l.csv": "image,label\na,cat\n"}, reader={"label_columns": "lable"})


def test_classes_select_columns(opened):
    data = opened({"l.csv": "image,cat,dog,cow\na,1,0,1\nb,0,1,0\n"}, classes=("dog", "cat"))
    assert (data.classes, labels_of(data)) == (("dog", "cat"), {"a": "cat", "b": "dog"})
    assert "not read as classes: 'cow'" in said(data)


def test_labels_that_are_called_like_a_file_are_no_image_names(opened):
    with pytest.raises(DataError, match=r"3 of 3 images are missing .* That folder holds 'images/a\.jpg'"):
        opened({"l.csv": "image,label\nx,a\ny,cat\nz,dog\n"})


class TestFiles:
    def test_roboflow_has_a_table_per_split(self, tmp_path, write_images):
        write_images(tmp_path, ["train/a.jpg", "valid/b.jpg"])
        for split, name in (("train", "a"), ("valid", "b")):
            (tmp_path / split / "_classes.csv").write_text(f"filename, cat, dog\n{name}.jpg, 1, 0\n")
        data = open_dataset(tmp_path, DataSettings(split="valid"))
        assert (data.format, data.classes, labels_of(data)) == ("table", ("cat", "dog"), {"b": "cat"})

    def test_tables_called_like_splits(self, opened):
        files = {
            "train.csv": "image,label\na,cat\nb,dog\n",
            "val.csv": "image,label\nc,cow\n",
            "test.csv": "image\nd\n",
        }
        data = opened(files)
        assert (data.split, data.classes, labels_of(data)) == (
            "train",
            ("cat", "cow", "dog"),
            {"a": "cat", "b": "dog"},
        )
        assert [record.present for record in opened({}, split="test").records] == [None]

    def test_submissions_class_lists_and_other_tables_are_passed_over(self, opened):
        files = {
            "all_labels.csv": "image,label\na,cat\nb,dog\n",
            "sample_submission.csv": "image,label\nc,cat\n",
            "classes.csv": "cat,0\ndog,1\n",
            "patients.csv": "patient,age\n7,50\n",
            "readme.txt": "hello\n",
        }
        data = opened(files)
        assert (data.labels_from, labels_of(data)) == ("all_labels.csv", {"a": "cat", "b": "dog"})

    def test_a_table_in_a_folder_of_its_own(self, opened):
        data = opened(
            {"annotations/train.csv": "image,label\na,cat\nb,dog\n"}, target="annotations/train.csv"
        )
        assert labels_of(data) == {"a": "cat", "b": "dog"}

    def test_a_folder_of_tables_below_the_set(self, opened):
        files = {
            "annotations/train.csv": "image,label\na,cat\nb,dog\n",
            "annotations/val.csv": "image,label\nc,dog\n",
        }
        data = opened(files)
        assert (data.split, data.labels_from) == ("train", "annotations/train.csv, annotations/val.csv")
        assert labels_of(data) == {"a": "cat", "b": "dog"}

    def test_one_table_of_any_name_per_split(self, tmp_path, write_images):
        write_images(tmp_path, ["train/a.jpg", "test/a.jpg"])
        for split, label in (("train", "cat"), ("test", "dog")):
            (tmp_path / split / "_annotations.csv").write_text(f"filename,class,xmin\na.jpg,{label},3\n")
        data = open_dataset(tmp_path, DataSettings(split="test"))
        assert {record.id: data.classes[record.present[0]] for record in data.records} == {"test/a": "dog"}

    def test_a_class_list_called_labels_is_passed_over(self, opened):
        data = opened(
            {"labels.csv": "ClassId,Text\n0,cat\n1,dog\n", "all.csv": "image,label\na,cat\nb,dog\n"}
        )
        assert data.labels_from == "all.csv"

    def test_names_alone_are_no_table(self, photos):
        (photos / "train.txt").write_text("a.jpg\nb.jpg\n")
        with pytest.raises(DataError, match="text file that names the images"):
            open_dataset(photos)

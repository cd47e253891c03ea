package guest
import "testing"
func TestZZ(t *testing.T){ p,err:=Collect(t.Context(), []string{"/tmp/g/k","/"}, "/work/main/bin/guest"); if err!=nil{t.Fatal(err)}
 _,err=Build(t.Context(),p,"/tmp/g/out"); if err!=nil{t.Fatal(err)} }
